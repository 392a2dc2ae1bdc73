-- What people tell a sweep to do while it runs, and say of its trials (docs/steering.md).

-- Left out of what the search learns, of the best and of what is tied with it.
alter table trial add column excluded integer not null default 0;
alter table trial add column note text;
-- JSON list, sorted
alter table trial add column tags text not null default '[]';
-- Asked for by somebody, not drawn.
alter table trial add column asked integer not null default 0;

-- Of the machine, every few seconds. Not facts: nothing is lost with them.
create table machine_sample (
    sweep integer not null references sweep on delete cascade,
    at_ms integer not null,
    device text not null,
    name text not null,
    value real not null,
    -- those that stay when an hour is over; a day later they go, too
    lasting integer not null,
    primary key (sweep, at_ms, device, name)
) strict, without rowid;

create view machine as
select
    s.name as sweep,
    strftime('%Y-%m-%dT%H:%M:%fZ', m.at_ms / 1000.0, 'unixepoch') as at,
    m.device,
    m.name,
    m.value
from sweep s
join machine_sample m on m.sweep = s.id;

create view orders as
select
    s.name as sweep,
    strftime('%Y-%m-%dT%H:%M:%fZ', f.at_ms / 1000.0, 'unixepoch') as at,
    json_extract(f.body, '$.by.user') || '@' || json_extract(f.body, '$.by.host') as by,
    json_extract(f.body, '$.order.order') as command,
    json_extract(f.body, '$.order.trial') as trial,
    json_remove(json_extract(f.body, '$.order'), '$.order', '$.trial') as params,
    json_extract(f.body, '$.by.pid') as pid
from sweep s
join fact f on f.sweep = s.id
-- what resume replays has the kind of a fact in front
where substr(f.body, 1, 17) = '{"fact":"ordered"';

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
    t.given_up,
    t.excluded,
    t.note,
    t.tags,
    t.asked
from sweep s
join trial t on t.sweep = s.id;

drop view sweeps;

-- trials: those that were asked for come on top of a budget, and within a grid.
create view sweeps as
select
    s.name as sweep,
    s.state,
    s.sampler,
    s.objective,
    s.direction,
    max(coalesce(s.planned, 0), (select count(*) from trial t where t.sweep = s.id and t.number >= 0)) as trials,
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
    (select r.score from run r where r.trial = baseline.id and r.fold = -1 and r.state = 'finished') as holdout_baseline,
    (select count(*) from trial t where t.sweep = s.id and t.excluded and t.number >= 0) as excluded
from sweep s
left join trial best on best.id = case s.direction
    when 'maximize' then (
        select t.id
        from trial t
        where t.sweep = s.id and t.state = 'finished' and t.number >= 0 and not t.excluded
        order by t.score desc, t.number
        limit 1
    )
    else (
        select t.id
        from trial t
        where t.sweep = s.id and t.state = 'finished' and t.number >= 0 and not t.excluded
        order by t.score, t.number
        limit 1
    )
end
left join trial baseline on baseline.sweep = s.id and baseline.number = -1;

drop view leaderboard;

-- Trials that are not excluded, each compared with the best one on the folds that both have run. tied_with_best: the
-- corrected t-test finds no difference at 5 %, two-sided; null where a single fold allows no test.
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
    where t.state = 'finished' and not t.excluded
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
