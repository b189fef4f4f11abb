-- Room beside the rows that change soon after they were made: a change then stays on its page, and no index hears of it.
ALTER TABLE shop.fact_sessions SET (fillfactor = 85);
ALTER TABLE shop.fact_visits SET (fillfactor = 90);
ALTER TABLE shop.fact_shoppers SET (fillfactor = 60);
ALTER TABLE shop.fact_customers SET (fillfactor = 60);
ALTER TABLE shop.fact_users SET (fillfactor = 60);
ALTER TABLE shop.fact_products SET (fillfactor = 60);
