-- The run of a trial on all documents that are not held out has the fold -1. It is none of the cross-validation: no mean, no
-- comparison and no prediction out of fold may hold it.

drop view trials;

create view trials as
select
    s.name as sweep,
    t.number as trial,
    t.state,
    t.score,
    t.score_se,
    (select count(distinct r.repeat << 32 | r.fold) from run r where r.trial = t.id and r.fold >= 0 and r.state = 'finished')
        as folds_done,
    s.folds,
    t.params,
    (select sum(r.ended_ms - r.started_ms) / 1000.0 from run r where r.trial = t.id and r.fold >= 0) as seconds,
    t.why,
    (select avg(r.score) from run r where r.trial = t.id and r.fold >= 0 and r.state = 'finished') as score_so_far,
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
        select coalesce(sum(s.folds - (
            select count(distinct r.repeat << 32 | r.fold) from run r where r.trial = t.id and r.fold >= 0
        )), 0)
        from trial t
        where t.sweep = s.id and t.given_up is not null
    ) as folds_saved,
    s.converged,
    (select r.score from run r where r.trial = best.id and r.fold = -1 and r.state = 'finished') as holdout_score,
    (select r.score from run r where r.trial = baseline.id and r.fold = -1 and r.state = 'finished') as holdout_baseline
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

drop view leaderboard;

-- Every trial is compared with the best one on the folds that both have run. tied_with_best: the corrected t-test finds
-- no difference at 5 %, two-sided; null where a single fold allows no test.
create view leaderboard as
with
scored as (
    select
        s.name,
        t.id,
        t.number,
        t.score,
        t.score_se,
        t.params,
        t.number = -1 as baseline,
        rank() over (
            partition by s.name, t.number = -1
            order by case s.direction when 'maximize' then -t.score else t.score end
        ) as place,
        -- of the trials; null while there is none
        first_value(case when t.number >= 0 then t.id end) over best_first as best,
        t.score - first_value(t.score) over best_first as shift
    from sweep s
    join trial t on t.sweep = s.id
    where t.state = 'finished'
    window best_first as (
        partition by s.name
        order by t.number = -1, case s.direction when 'maximize' then -t.score else t.score end, t.number
    )
),
-- of the differences, fold by fold, less a number near their mean: their sums lose no digits
paired as (
    select
        c.*,
        count(its.score) as folds,
        1 + max(own.fold) as k,
        sum(own.score - its.score - c.shift) as sum,
        sum((own.score - its.score - c.shift) * (own.score - its.score - c.shift)) as squares
    from scored c
    left join run own on own.trial = c.id and own.fold >= 0 and own.state = 'finished'
    left join run its
        on its.trial = c.best and its.repeat = own.repeat and its.fold = own.fold and its.state = 'finished'
    group by c.name, c.id
),
tested as (
    select
        *,
        shift + sum / folds as difference,
        folds - 1.0 as df,
        case
            when folds > 1 then
                max(squares - sum * sum / folds, 0) / (folds - 1)
                * (1.0 / folds + case when k > 1 then 1.0 / (k - 1) else 0 end)
        end as variance
    from paired
),
-- Student's t at 97.5 %; from 5 degrees of freedom on by the expansion of Cornish and Fisher, good to 0.02 %
limited as (
    select
        *,
        case df
            when 1 then 12.706204736
            when 2 then 4.30265273
            when 3 then 3.182446305
            when 4 then 2.776445105
            else 1.959963985 + (2.372271230 + (2.822498494 + (2.555849990 + 1.589533908 / df) / df) / df) / df
        end as t
    from tested
)
select
    name as sweep,
    case when not baseline then place end as rank,
    number as trial,
    score,
    score_se,
    case when id = best then 1 else difference * difference <= t * t * variance end as tied_with_best,
    params,
    baseline,
    difference,
    case
        when variance > 0 then (
            with recursive newton(root) as (
                select coalesce(l.score_se + l.variance / nullif(l.score_se, 0), 1 + l.variance) / 2
                union all
                select (root + l.variance / root) / 2 from newton where root * root > l.variance * (1 + 1e-12)
                limit 60
            )
            select min(root) from newton
        )
        else variance
    end as difference_se
from limited l
order by name, baseline, place, number;

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
    case m.split when 0 then 'train' when 1 then 'validation' when 2 then 'machine' else 'holdout' end as split,
    n.name,
    m.value,
    strftime('%Y-%m-%dT%H:%M:%fZ', m.at_ms / 1000.0, 'unixepoch') as at
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id
join metric m on m.run = r.id
join metric_name n on n.id = m.name;

drop view predictions;

-- Of folds only: whoever looks for what is hard must not look at the holdout by the way.
create view predictions as
select
    s.name as sweep,
    t.number as trial,
    r.repeat,
    r.fold,
    d.name as document,
    p.label,
    p.predicted,
    p.confidence
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id
join prediction p on p.run = r.id
join document d on d.id = p.document
where r.state = 'finished' and r.fold >= 0;

create view holdout_predictions as
select
    s.name as sweep,
    t.number as trial,
    d.name as document,
    p.label,
    p.predicted,
    p.confidence
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id
join prediction p on p.run = r.id
join document d on d.id = p.document
where r.state = 'finished' and r.fold = -1;

-- The newest attempt of each trial that was chosen.
create view holdout as
select
    s.name as sweep,
    t.number as trial,
    r.state,
    r.score,
    (
        select m.value
        from metric m
        join metric_name n on n.id = m.name
        where m.run = r.id and m.split = 3 and n.name = 'score_se'
    ) as score_se,
    (select count(*) from prediction p where p.run = r.id) as documents,
    r.epochs,
    t.score as folds_score,
    t.number = -1 as baseline,
    strftime('%Y-%m-%dT%H:%M:%fZ', case r.state when 'finished' then r.ended_ms end / 1000.0, 'unixepoch') as scored_at,
    r.why
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id
where r.fold = -1
and not exists (select 1 from run later where later.trial = r.trial and later.fold = -1 and later.attempt > r.attempt);
