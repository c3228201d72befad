-- SSH into machines: which of them take it, at which port of the server, and whose keys come in.

create table machine_ssh (
  machine_id      text primary key references machines (id),
  -- The servers that can reach the machines of a place share its ports.
  place           text not null,
  port            integer not null check (port between 1 and 65535),
  authorized_keys text[] not null check (cardinality(authorized_keys) > 0),
  -- Whether the machine has these keys; until then it is told them before anybody is let in.
  settled         boolean not null default false,
  opened_at       timestamptz not null,
  unique (place, port)
);
