-- name: newest
SELECT event_id::text FROM shop.events ORDER BY event_id DESC LIMIT 1;

-- name: stored
SELECT event_id::text FROM shop.events WHERE event_id = ANY(%(event_ids)s::uuid[]);
