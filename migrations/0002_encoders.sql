-- JSON object: a model of the hub as the sweep file names it -> the commit that it meant when the sweep began. A sweep
-- resumes on the same weights, wherever the hub has moved since.
alter table sweep add column encoders text not null default '{}';

create view encoders as
select s.name as sweep, e.key as encoder, e.value as revision
from sweep s
join json_each(s.encoders) e;
