-- A refresh follows what is new, however long the history is: the days that changed are on record, the sums of the products
-- are kept beside their days, and a view is a table of which only the rows that differ are written.

-- The views are made again after the migrations.
DO $$
DECLARE
    view record;
BEGIN
    FOR view IN SELECT name FROM public.schema_views LOOP
        EXECUTE format('DROP VIEW IF EXISTS shop_next.%I', view.name || '_query');
    END LOOP;
    FOR view IN
        SELECT relname AS name FROM pg_catalog.pg_class
        JOIN public.schema_views ON schema_views.name = relname
        WHERE relnamespace = 'shop'::regnamespace AND relkind = 'm'
    LOOP
        EXECUTE format('DROP MATERIALIZED VIEW shop.%I', view.name);
    END LOOP;
    FOR view IN SELECT name FROM public.schema_views LOOP
        EXECUTE format('DROP TABLE IF EXISTS shop_next.%I', view.name);
    END LOOP;
END
$$;

CREATE SEQUENCE shop.day_change_ids;

CREATE TABLE shop.changed_days (
    source text NOT NULL,
    day date NOT NULL,
    change_id bigint NOT NULL,
    PRIMARY KEY (source, day)
);

CREATE INDEX changed_days_newest ON shop.changed_days (source, change_id);

COMMENT ON TABLE shop.changed_days IS
    'The newest change of each UTC day in a table that views read by day or hour; change_id rises in the order of the commits.';

ALTER TABLE shop.refreshes ADD COLUMN change_id bigint;

COMMENT ON COLUMN shop.refreshes.change_id IS
    'The newest change of a day that its rows contain; NULL when the next refresh must work out all days.';

-- Triggers, so that nobody can change a day without the views: not the facts, nor a retraction, nor a repair by hand.
CREATE FUNCTION shop.note_changed_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added constant text := 'SELECT * FROM added';
    taken constant text := 'SELECT * FROM taken';
BEGIN
    -- One at a time, to the end of the transaction: else a lower number could be committed after a higher one was seen.
    PERFORM FROM shop.facts_progress FOR UPDATE;
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE shop.refreshes SET change_id = NULL WHERE change_id IS NOT NULL;
        RETURN NULL;
    END IF;
    EXECUTE format(
        'INSERT INTO shop.changed_days (source, day, change_id)
        SELECT $1, day, $2 FROM (SELECT DISTINCT %s AS day FROM (%s) AS changed) AS days
        ON CONFLICT (source, day) DO UPDATE SET change_id = excluded.change_id',
        TG_ARGV[0],
        CASE TG_OP WHEN 'INSERT' THEN added WHEN 'DELETE' THEN taken ELSE added || ' UNION ALL ' || taken END
    ) USING TG_TABLE_NAME::text, nextval('shop.day_change_ids');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION shop.note_changed_days IS 'Keeps shop.changed_days; its argument is the day of a row.';

REVOKE ALL ON FUNCTION shop.note_changed_days FROM PUBLIC;

DO $$
DECLARE
    source record;
BEGIN
    FOR source IN VALUES
        ('agg_hour', '(hour AT TIME ZONE ''UTC'')::date'), ('agg_day', 'day'), ('fact_days', 'day'), ('fact_funnel', 'day')
    LOOP
        EXECUTE format(
            'CREATE TRIGGER days_added AFTER INSERT ON shop.%1$I
            REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION shop.note_changed_days(%2$L);
            CREATE TRIGGER days_changed AFTER UPDATE ON shop.%1$I
            REFERENCING OLD TABLE AS taken NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION shop.note_changed_days(%2$L);
            CREATE TRIGGER days_taken AFTER DELETE ON shop.%1$I
            REFERENCING OLD TABLE AS taken FOR EACH STATEMENT EXECUTE FUNCTION shop.note_changed_days(%2$L);
            CREATE TRIGGER days_emptied AFTER TRUNCATE ON shop.%1$I
            FOR EACH STATEMENT EXECUTE FUNCTION shop.note_changed_days(%2$L)',
            source.column1, source.column2
        );
    END LOOP;
END
$$;

CREATE TABLE shop.fact_product_totals (
    product_id text NOT NULL,
    currency text NOT NULL,
    product_name text NOT NULL,
    category text NOT NULL,
    brand text NOT NULL,
    views bigint NOT NULL,
    wishlist_adds bigint NOT NULL,
    cart_adds bigint NOT NULL,
    orders bigint NOT NULL,
    purchases bigint NOT NULL,
    units bigint NOT NULL,
    revenue numeric(38, 2) NOT NULL,
    last_event_at timestamptz NOT NULL,
    PRIMARY KEY (product_id, currency, product_name, category, brand)
) WITH (fillfactor = 60);

COMMENT ON TABLE shop.fact_product_totals IS 'shop.fact_products over all its days, changed with it in the same transaction.';

CREATE FUNCTION shop.add_up_products() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_less boolean := TG_OP = 'DELETE';
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM shop.fact_product_totals;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        is_less := EXISTS (
            SELECT FROM taken
            LEFT JOIN added USING (id_day, product_id, currency, product_name, category, brand)
            WHERE added.last_event_at IS NULL OR added.last_event_at < taken.last_event_at
        );
    END IF;
    IF is_less THEN
        -- The newest event may be among those that go: only the days that are left know the newest of the others.
        EXECUTE format(
            'CREATE TEMPORARY TABLE touched ON COMMIT DROP AS
            SELECT DISTINCT product_id, currency, product_name, category, brand FROM (%s) AS changed',
            CASE TG_OP WHEN 'DELETE' THEN 'SELECT * FROM taken' ELSE 'SELECT * FROM added UNION ALL SELECT * FROM taken' END
        );
        DELETE FROM shop.fact_product_totals AS total USING pg_temp.touched
        WHERE total.product_id = touched.product_id AND total.currency = touched.currency
            AND total.product_name = touched.product_name AND total.category = touched.category
            AND total.brand = touched.brand;
        INSERT INTO shop.fact_product_totals
        SELECT
            product_id, currency, product_name, category, brand, sum(views), sum(wishlist_adds), sum(cart_adds),
            sum(orders), sum(purchases), sum(units), sum(revenue), max(last_event_at)
        FROM shop.fact_products
        JOIN pg_temp.touched USING (product_id, currency, product_name, category, brand)
        GROUP BY product_id, currency, product_name, category, brand;
        DROP TABLE pg_temp.touched;
        RETURN NULL;
    END IF;
    EXECUTE format(
        'MERGE INTO shop.fact_product_totals AS total
        USING (
            SELECT
                product_id, currency, product_name, category, brand,
                sum(sign * views) AS views, sum(sign * wishlist_adds) AS wishlist_adds, sum(sign * cart_adds) AS cart_adds,
                sum(sign * orders) AS orders, sum(sign * purchases) AS purchases, sum(sign * units) AS units,
                sum(sign * revenue) AS revenue, max(last_event_at) AS last_event_at
            FROM (%s) AS changed
            GROUP BY product_id, currency, product_name, category, brand
        ) AS change
        ON total.product_id = change.product_id AND total.currency = change.currency
            AND total.product_name = change.product_name AND total.category = change.category
            AND total.brand = change.brand
        WHEN MATCHED THEN UPDATE SET
            views = total.views + change.views,
            wishlist_adds = total.wishlist_adds + change.wishlist_adds,
            cart_adds = total.cart_adds + change.cart_adds,
            orders = total.orders + change.orders,
            purchases = total.purchases + change.purchases,
            units = total.units + change.units,
            revenue = total.revenue + change.revenue,
            last_event_at = greatest(total.last_event_at, change.last_event_at)
        WHEN NOT MATCHED THEN INSERT VALUES (
            change.product_id, change.currency, change.product_name, change.category, change.brand, change.views,
            change.wishlist_adds, change.cart_adds, change.orders, change.purchases, change.units, change.revenue,
            change.last_event_at
        )',
        CASE TG_OP
            WHEN 'INSERT' THEN 'SELECT 1 AS sign, * FROM added'
            ELSE 'SELECT 1 AS sign, * FROM added UNION ALL SELECT -1, * FROM taken'
        END
    );
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION shop.add_up_products IS 'Keeps shop.fact_product_totals the sum of shop.fact_products.';

REVOKE ALL ON FUNCTION shop.add_up_products FROM PUBLIC;

-- From here to the end of the transaction nobody else changes the products.
CREATE TRIGGER fact_products_added AFTER INSERT ON shop.fact_products
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION shop.add_up_products();
CREATE TRIGGER fact_products_changed AFTER UPDATE ON shop.fact_products
REFERENCING OLD TABLE AS taken NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION shop.add_up_products();
CREATE TRIGGER fact_products_taken AFTER DELETE ON shop.fact_products
REFERENCING OLD TABLE AS taken FOR EACH STATEMENT EXECUTE FUNCTION shop.add_up_products();
CREATE TRIGGER fact_products_emptied AFTER TRUNCATE ON shop.fact_products
FOR EACH STATEMENT EXECUTE FUNCTION shop.add_up_products();

INSERT INTO shop.fact_product_totals
SELECT
    product_id, currency, product_name, category, brand, sum(views), sum(wishlist_adds), sum(cart_adds), sum(orders),
    sum(purchases), sum(units), sum(revenue), max(last_event_at)
FROM shop.fact_products
GROUP BY product_id, currency, product_name, category, brand;

GRANT SELECT ON shop.changed_days, shop.fact_product_totals TO shop_ops, shop_quality, shop_analyst;
