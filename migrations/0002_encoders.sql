-- JSON object: a model of the hub as the sweep file names it -> the commit that it meant when the sweep began. A sweep
-- resumes on the same weights, wherever the hub has moved since.
alter table sweep add column encoders text not null default '{}';

drop view sweeps;

create view sweeps as
select
    s.name as sweep,
    s.state,
    s.sampler,
    s.objective,
    s.direction,
    coalesce(s.planned, (select count(*) from trial t where t.sweep = s.id)) as trials,
    (select count(*) from trial t where t.sweep = s.id and t.state = 'finished') as finished,
    (select count(*) from trial t where t.sweep = s.id and t.state = 'failed') as failed,
    best.number as best_trial,
    best.score as best_score,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.started_ms / 1000.0, 'unixepoch') as started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.ended_ms / 1000.0, 'unixepoch') as ended_at,
    (s.spent_ms + coalesce(s.touched_ms - s.session_ms, 0)) / 1000.0 as seconds,
    s.why,
    s.folds,
    s.documents,
    s.classes,
    s.overrides,
    s.encoders,
    s.spec,
    s.spec_path,
    s.project,
    s.host,
    s.version
from sweep s
left join trial best on best.id = case s.direction
    when 'maximize' then (
        select t.id from trial t where t.sweep = s.id and t.state = 'finished' order by t.score desc, t.number limit 1
    )
    else (
        select t.id from trial t where t.sweep = s.id and t.state = 'finished' order by t.score, t.number limit 1
    )
end;
