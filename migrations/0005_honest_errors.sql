-- Folds share training documents: standard errors and comparisons after Nadeau & Bengio (2003), by 1/J + 1/(k - 1) in
-- place of 1/J. Not every SQLite has sqrt, this program's neither: Newton's method, from above.

-- What is stored was s / sqrt(J): now s * sqrt(1/J + 1/(k - 1)).
update trial
set score_se = score_se * (
    with recursive
    shape(runs, k) as (
        select count(*), 1 + max(r.fold) from run r where r.trial = trial.id and r.state = 'finished'
    ),
    newton(root, square, step) as (
        select 1.0 + runs / (k - 1.0), 1.0 + runs / (k - 1.0), 0 from shape where k > 1
        union all
        select (root + square / root) / 2, square, step + 1 from newton where step < 20
    )
    select coalesce(min(root), 1.0) from newton
)
where score_se is not null;

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
    left join run own on own.trial = c.id and own.state = 'finished'
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
