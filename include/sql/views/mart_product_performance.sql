-- depends on: fact_product_totals
-- Grain: one row per product and currency, over the events within retention.
CREATE TABLE shop.mart_product_performance AS
WITH names AS (
    -- A product that was renamed or recategorized has the names of its newest event in all currencies.
    SELECT DISTINCT ON (product_id) product_id, product_name, category, brand
    FROM shop.fact_product_totals
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
    sum(variants.orders)::bigint AS order_lines,
    sum(variants.purchases)::bigint AS purchases,
    sum(variants.units)::bigint AS units,
    sum(variants.revenue)::numeric(38, 2) AS revenue,
    round(sum(variants.purchases) / nullif(sum(variants.views), 0), 4) AS purchases_per_view,
    max(variants.last_event_at) AS last_event_at
FROM shop.fact_product_totals AS variants
INNER JOIN names USING (product_id)
GROUP BY variants.product_id, variants.currency, names.product_name, names.category, names.brand;

COMMENT ON TABLE shop.mart_product_performance IS
    'Events by type, units and revenue per product and currency, over the events within retention.';
COMMENT ON COLUMN shop.mart_product_performance.order_lines IS 'Order lines of the product.';
COMMENT ON COLUMN shop.mart_product_performance.units IS 'Units purchased.';
COMMENT ON COLUMN shop.mart_product_performance.revenue IS 'Sum of unit_price times quantity of purchases, in the currency of the row.';
COMMENT ON COLUMN shop.mart_product_performance.purchases_per_view IS
    'Purchase events per view event; NULL without views, above 1 with more purchases than views.';

CREATE UNIQUE INDEX mart_product_performance_grain ON shop.mart_product_performance (product_id, currency);

GRANT SELECT ON shop.mart_product_performance TO shop_analyst, shop_ops, shop_quality;
