-- How fast a run goes is measured like its scores.
drop view metrics;

create view metrics as
select
    s.name as sweep,
    t.number as trial,
    r.repeat,
    r.fold,
    r.attempt,
    m.epoch,
    m.step,
    case m.split when 0 then 'train' when 1 then 'validation' else 'machine' end as split,
    n.name,
    m.value,
    strftime('%Y-%m-%dT%H:%M:%fZ', m.at_ms / 1000.0, 'unixepoch') as at
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id
join metric m on m.run = r.id
join metric_name n on n.id = m.name;
