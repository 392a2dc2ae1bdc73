-- Singular tables are the inside and may change; plural views are the public face and stay (docs/sql.md).
-- Times are milliseconds since 1970 (UTC) inside and ISO text outside.

-- 'swee': tells a file of sweep from the database of another program
pragma application_id = 0x73776565;

create table sweep (
    id integer primary key,
    name text not null unique,
    state text not null default 'running' check (state in ('running', 'paused', 'finished', 'stopped', 'failed')),
    why text,
    sampler text not null,
    objective text not null,
    direction text not null check (direction in ('maximize', 'minimize')),
    -- null: as many as the budget allows
    planned integer,
    -- runs of one finished trial: k * repeats
    folds integer not null,
    documents integer,
    -- of the file of documents: a sweep resumes on the same data only
    data_sha256 text,
    -- JSON list, in the order of the probabilities
    classes text not null default '[]',
    spec text not null,
    spec_path text not null,
    -- JSON list of key=value
    overrides text not null default '[]',
    project text not null,
    version text not null,
    host text not null,
    created_ms integer not null,
    started_ms integer,
    ended_ms integer,
    -- seconds = spent_ms of the sessions before + touched_ms - session_ms of this one
    session_ms integer,
    touched_ms integer,
    spent_ms integer not null default 0
) strict;

-- What resume replays; everything below is a projection of it, or was measured.
create table fact (
    sweep integer not null references sweep on delete cascade,
    seq integer not null,
    at_ms integer not null,
    body text not null,
    primary key (sweep, seq)
) strict, without rowid;

create table trial (
    id integer primary key,
    sweep integer not null references sweep on delete cascade,
    -- from 0, within its sweep
    number integer not null,
    state text not null default 'waiting'
        check (state in ('waiting', 'running', 'finished', 'pruned', 'failed', 'cancelled')),
    why text,
    score real,
    score_se real,
    params text not null,
    proposed_ms integer not null,
    ended_ms integer,
    unique (sweep, number)
) strict;

-- best_trial, best_score and the leaderboard without a look at the open trials
create index trial_by_score on trial (sweep, score) where state = 'finished';

create table run (
    id integer primary key,
    trial integer not null references trial on delete cascade,
    repeat integer not null,
    fold integer not null,
    -- from 1
    attempt integer not null,
    state text not null default 'running'
        check (state in ('waiting', 'running', 'finished', 'pruned', 'failed', 'cancelled', 'interrupted')),
    why text,
    score real,
    best_epoch integer,
    epochs integer,
    peak_memory_mb integer,
    slot integer,
    device text,
    host text,
    pid integer,
    started_ms integer,
    ended_ms integer,
    unique (trial, repeat, fold, attempt)
) strict;

create table metric_name (
    id integer primary key,
    name text not null unique
) strict;

-- The largest table: about 35 bytes a row. The key keeps the curve of one metric of one run in one place.
create table metric (
    run integer not null references run on delete cascade,
    name integer not null references metric_name,
    -- 0 train, 1 validation
    split integer not null,
    epoch integer not null,
    step integer not null,
    -- null: undefined (NaN)
    value real,
    at_ms integer not null,
    primary key (run, name, split, epoch, step)
) strict, without rowid;

create table checkpoint (
    run integer not null references run on delete cascade,
    kind text not null check (kind in ('best', 'last')),
    path text not null,
    epoch integer not null,
    score real,
    bytes integer,
    sha256 text,
    at_ms integer not null,
    primary key (run, kind)
) strict, without rowid;

-- Every trial answers the same documents: their names are kept once.
create table document (
    id integer primary key,
    name text not null unique
) strict;

create table prediction (
    run integer not null references run on delete cascade,
    document integer not null references document,
    label text not null,
    predicted text not null,
    confidence real,
    -- f32, little endian, one a class in the order of sweep.classes
    probabilities blob not null,
    primary key (run, document)
) strict, without rowid;

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
    strftime('%Y-%m-%dT%H:%M:%fZ', t.ended_ms / 1000.0, 'unixepoch') as ended_at
from sweep s
join trial t on t.sweep = s.id;

create view params as
select s.name as sweep, t.number as trial, p.key as name, p.value
from sweep s
join trial t on t.sweep = s.id
join json_each(t.params) p;

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
    strftime('%Y-%m-%dT%H:%M:%fZ', r.ended_ms / 1000.0, 'unixepoch') as ended_at
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id;

create view metrics as
select
    s.name as sweep,
    t.number as trial,
    r.repeat,
    r.fold,
    r.attempt,
    m.epoch,
    m.step,
    case m.split when 0 then 'train' else 'validation' end as split,
    n.name,
    m.value,
    strftime('%Y-%m-%dT%H:%M:%fZ', m.at_ms / 1000.0, 'unixepoch') as at
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id
join metric m on m.run = r.id
join metric_name n on n.id = m.name;

-- A later attempt continues in the same place: the file of an earlier one is no longer what its row says.
create view checkpoints as
select
    s.name as sweep,
    t.number as trial,
    r.repeat,
    r.fold,
    c.kind,
    c.path,
    c.epoch,
    c.score,
    c.bytes,
    c.sha256,
    r.attempt,
    strftime('%Y-%m-%dT%H:%M:%fZ', c.at_ms / 1000.0, 'unixepoch') as at
from sweep s
join trial t on t.sweep = s.id
join run r on r.trial = t.id
join checkpoint c on c.run = r.id
where not exists (
    select 1
    from run later
    join checkpoint newer on newer.run = later.id and newer.kind = c.kind
    where later.trial = r.trial and later.repeat = r.repeat and later.fold = r.fold and later.attempt > r.attempt
);

-- Of finished runs only: the answers of an attempt that died would count a document twice.
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
where r.state = 'finished';

-- tied_with_best: the difference is within one standard error of itself, as if trials were independent. To be
-- replaced by a paired test over the folds, which all trials share.
create view leaderboard as
with
ranked as (
    select
        t.sweep,
        s.name,
        t.number,
        t.score,
        coalesce(t.score_se, 0) as se,
        t.score_se,
        t.params,
        case s.direction when 'maximize' then -t.score else t.score end as loss
    from sweep s
    join trial t on t.sweep = s.id
    where t.state = 'finished'
),
compared as (
    select
        *,
        rank() over (partition by name order by loss) as place,
        first_value(score) over (partition by name order by loss, number) as best,
        first_value(se) over (partition by name order by loss, number) as best_se
    from ranked
)
select
    name as sweep,
    place as rank,
    number as trial,
    score,
    score_se,
    -- squared on both sides: not every SQLite has sqrt
    (best - score) * (best - score) <= best_se * best_se + se * se as tied_with_best,
    params
from compared
order by name, place, number;
