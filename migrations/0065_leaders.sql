-- Leaders are read in their order: by level, as the levels stand in reputation/levels.ts, and by what they have spent.
-- The index by what was spent alone served no question.

drop index grid_nodes_by_spent;
create index grid_nodes_by_rank on grid_nodes (
  (case when spent >= 500000000 and cri >= 95 then 4
        when spent >= 100000000 and cri >= 80 then 3
        when spent >= 10000000 and cri >= 50 then 2
        when spent >= 1000000 and cri >= 0 then 1
        when spent >= 0 and cri >= 0 then 0
        else 0 end) desc, spent desc, seq)
  where active and not sandbox;
