-- Servers of two versions at one place each have their own machine of a skill, and do not end each other's.

alter table grid_skill_machines
  drop constraint grid_skill_machines_pkey,
  add primary key (skill, place, version);
