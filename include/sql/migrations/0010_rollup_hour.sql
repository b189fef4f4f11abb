-- Hours beside the minutes: what is asked of a whole day reads 1,800 rows at its end instead of 108,000.
CREATE TABLE shop.rollup_hour (
    hour timestamptz NOT NULL,
    event_type text NOT NULL,
    category text NOT NULL,
    currency text NOT NULL,
    events bigint NOT NULL,
    quantity bigint NOT NULL,
    amount numeric(18, 2) NOT NULL,
    PRIMARY KEY (hour, event_type, category, currency)
) WITH (fillfactor = 50);

COMMENT ON TABLE shop.rollup_hour IS
    'shop.rollup_minute by the hour (UTC), changed with it in the same transaction. amount is unit_price times quantity, in the currency.';

-- Triggers, so that nobody can change the minutes without the hours: not the stream, nor retention, nor an older driver that
-- still runs while a cluster is upgraded.
CREATE FUNCTION shop.add_up_hours() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added constant text := 'SELECT 1 AS sign, * FROM added';
    taken constant text := 'SELECT -1 AS sign, * FROM taken';
BEGIN
    EXECUTE format(
        'MERGE INTO shop.rollup_hour AS stored
        USING (
            SELECT date_trunc(''hour'', minute, ''UTC'') AS hour, event_type, category, currency,
                sum(sign * events) AS events, sum(sign * quantity) AS quantity, sum(sign * amount) AS amount
            FROM (%s) AS changed
            GROUP BY date_trunc(''hour'', minute, ''UTC''), event_type, category, currency
        ) AS change
        ON stored.hour = change.hour AND stored.event_type = change.event_type
            AND stored.category = change.category AND stored.currency = change.currency
        WHEN MATCHED AND stored.events + change.events = 0 THEN DELETE
        WHEN MATCHED THEN UPDATE SET
            events = stored.events + change.events,
            quantity = stored.quantity + change.quantity,
            amount = stored.amount + change.amount
        WHEN NOT MATCHED THEN INSERT VALUES (
            change.hour, change.event_type, change.category, change.currency,
            change.events, change.quantity, change.amount
        )',
        CASE TG_OP WHEN 'INSERT' THEN added WHEN 'DELETE' THEN taken ELSE added || ' UNION ALL ' || taken END
    );
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION shop.add_up_hours IS 'Keeps shop.rollup_hour the sum of shop.rollup_minute.';

REVOKE ALL ON FUNCTION shop.add_up_hours FROM PUBLIC;

-- From here to the end of the transaction nobody else changes the minutes.
CREATE TRIGGER rollup_minute_added AFTER INSERT ON shop.rollup_minute
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION shop.add_up_hours();
CREATE TRIGGER rollup_minute_changed AFTER UPDATE ON shop.rollup_minute
REFERENCING OLD TABLE AS taken NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION shop.add_up_hours();
CREATE TRIGGER rollup_minute_taken AFTER DELETE ON shop.rollup_minute
REFERENCING OLD TABLE AS taken FOR EACH STATEMENT EXECUTE FUNCTION shop.add_up_hours();

INSERT INTO shop.rollup_hour
SELECT date_trunc('hour', minute, 'UTC'), event_type, category, currency, sum(events), sum(quantity), sum(amount)
FROM shop.rollup_minute
GROUP BY date_trunc('hour', minute, 'UTC'), event_type, category, currency;

GRANT SELECT ON shop.rollup_hour TO shop_analyst, shop_ops, shop_quality;
