-- The baseline of a sweep is kept as a trial with a number of its own, -1: on the same folds, and no point of the space.
-- It is not among the trials that a sweep counts, ranks or calls its best. Views only gain columns, at their end.

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
    baseline.score as baseline_score
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
    t.number = -1 as baseline
from sweep s
join trial t on t.sweep = s.id;

drop view runs;

create view runs as
select
    s.name as sweep,
    t.number as trial,
    r.repeat,
    r.fold,
    r.attempt,
    r.state,
    r.score,
    r.best_epoch,
    r.epochs,
    r.device,
    r.host,
    r.pid,
    (r.ended_ms - r.started_ms) / 1000.0 as seconds,
    r.peak_memory_mb,
    r.why,
    r.slot,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.started_ms / 1000.0, 'unixepoch') as started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.ended_ms / 1000.0, 'unixepoch') as ended_at,
    t.number = -1 as baseline
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id;

-- The baseline has no rank and stands below the trials, whatever its score: the first row stays the best trial.
drop view leaderboard;

create view leaderboard as
with
scored as (
    select
        s.name,
        t.number,
        t.score,
        coalesce(t.score_se, 0) as se,
        t.score_se,
        t.params,
        t.number = -1 as baseline,
        case s.direction when 'maximize' then -t.score else t.score end as loss
    from sweep s
    join trial t on t.sweep = s.id
    where t.state = 'finished'
),
compared as (
    select
        *,
        rank() over (partition by name, baseline order by loss) as place,
        -- of the trials; null while there is none
        first_value(case when not baseline then score end) over best_first as best,
        first_value(se) over best_first as best_se
    from scored
    window best_first as (partition by name order by baseline, loss, number)
)
select
    name as sweep,
    case when not baseline then place end as rank,
    number as trial,
    score,
    score_se,
    -- squared on both sides: not every SQLite has sqrt
    (best - score) * (best - score) <= best_se * best_se + se * se as tied_with_best,
    params,
    baseline
from compared
order by name, baseline, place, number;
