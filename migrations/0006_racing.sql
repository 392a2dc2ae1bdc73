-- A trial that is given up is in the state 'pruned': between its folds ('race') or between the epochs of one ('prune').
alter table trial add column given_up text check (given_up in ('race', 'prune'));

-- Why the sweep could stop before its budget is spent; null while there is something to gain.
alter table sweep add column converged text;

drop view trials;

create view trials as
select
    s.name as sweep,
    t.number as trial,
    t.state,
    t.score,
    t.score_se,
    (select count(distinct r.repeat << 32 | r.fold) from run r where r.trial = t.id and r.state = 'finished')
        as folds_done,
    s.folds,
    t.params,
    (select sum(r.ended_ms - r.started_ms) / 1000.0 from run r where r.trial = t.id) as seconds,
    t.why,
    (select avg(r.score) from run r where r.trial = t.id and r.state = 'finished') as score_so_far,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.proposed_ms / 1000.0, 'unixepoch') as proposed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.ended_ms / 1000.0, 'unixepoch') as ended_at,
    t.number = -1 as baseline,
    t.given_up
from sweep s
join trial t on t.sweep = s.id;

drop view sweeps;

create view sweeps as
select
    s.name as sweep,
    s.state,
    s.sampler,
    s.objective,
    s.direction,
    coalesce(s.planned, (select count(*) from trial t where t.sweep = s.id and t.number >= 0)) as trials,
    (select count(*) from trial t where t.sweep = s.id and t.state = 'finished' and t.number >= 0) as finished,
    (select count(*) from trial t where t.sweep = s.id and t.state = 'failed' and t.number >= 0) as failed,
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
    s.spec,
    s.spec_path,
    s.project,
    s.host,
    s.version,
    baseline.score as baseline_score,
    (select count(*) from trial t where t.sweep = s.id and t.given_up = 'race') as raced_out,
    (select count(*) from trial t where t.sweep = s.id and t.given_up = 'prune') as pruned,
    (
        select coalesce(sum(s.folds - (select count(distinct r.repeat << 32 | r.fold) from run r where r.trial = t.id)), 0)
        from trial t
        where t.sweep = s.id and t.given_up is not null
    ) as folds_saved,
    s.converged
from sweep s
left join trial best on best.id = case s.direction
    when 'maximize' then (
        select t.id
        from trial t
        where t.sweep = s.id and t.state = 'finished' and t.number >= 0
        order by t.score desc, t.number
        limit 1
    )
    else (
        select t.id
        from trial t
        where t.sweep = s.id and t.state = 'finished' and t.number >= 0
        order by t.score, t.number
        limit 1
    )
end
left join trial baseline on baseline.sweep = s.id and baseline.number = -1;
