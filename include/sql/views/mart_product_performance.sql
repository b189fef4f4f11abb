-- depends on: fact_products
-- Grain: one row a product and currency, over the events that retention keeps.
CREATE MATERIALIZED VIEW shop.mart_product_performance AS
WITH names AS (
    -- A product that was renamed or moved shows what its newest event called it, in every currency alike.
    SELECT DISTINCT ON (product_id) product_id, product_name, category, brand
    FROM shop.fact_products
    ORDER BY product_id, last_event_at DESC, product_name, category, brand
)
SELECT
    variants.product_id,
    variants.currency,
    names.product_name,
    names.category,
    names.brand,
    sum(variants.views)::bigint AS views,
    sum(variants.wishlist_adds)::bigint AS wishlist_adds,
    sum(variants.cart_adds)::bigint AS cart_adds,
    sum(variants.orders)::bigint AS orders,
    sum(variants.purchases)::bigint AS purchases,
    sum(variants.units)::bigint AS units,
    sum(variants.revenue)::numeric(18, 2) AS revenue,
    round(sum(variants.purchases) / nullif(sum(variants.views), 0), 4) AS purchases_per_view,
    max(variants.last_event_at) AS last_event_at
FROM shop.fact_products AS variants
INNER JOIN names USING (product_id)
GROUP BY variants.product_id, variants.currency, names.product_name, names.category, names.brand;

COMMENT ON MATERIALIZED VIEW shop.mart_product_performance IS
    'Events by type, units and revenue per product and currency, over the events that retention keeps.';
COMMENT ON COLUMN shop.mart_product_performance.orders IS 'Order events of the product.';
COMMENT ON COLUMN shop.mart_product_performance.units IS 'Units purchased.';
COMMENT ON COLUMN shop.mart_product_performance.revenue IS 'Sum of unit_price times quantity of purchases, in the currency of the row.';
COMMENT ON COLUMN shop.mart_product_performance.purchases_per_view IS
    'Purchase events per view event; NULL without views, above 1 when more was bought than looked at.';

CREATE UNIQUE INDEX mart_product_performance_grain ON shop.mart_product_performance (product_id, currency);

GRANT SELECT ON shop.mart_product_performance TO shop_analyst, shop_ops, shop_quality;
GRANT MAINTAIN ON shop.mart_product_performance TO shop_ops;
