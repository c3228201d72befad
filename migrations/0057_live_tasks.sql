-- What nodes ask for again and again, without what has been: tasks that are not over.

-- Workers ask for what is to be done every few seconds, whatever their nodes have done in years.
create index grid_tasks_live_by_seller on grid_tasks (seller_id, status, seq)
  where status in ('OPEN', 'IN_PROGRESS', 'COMPLETED', 'DISPUTED');
create index grid_tasks_live_by_buyer on grid_tasks (buyer_id, status, seq)
  where status in ('OPEN', 'IN_PROGRESS', 'COMPLETED', 'DISPUTED');
