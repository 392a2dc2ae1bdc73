//! What is asked of the tables: cheap enough to be asked ten times a second.

pub(super) const HEADS: &str = "\
    select id, state, why, converged, ended_ms, session_ms, touched_ms, spent_ms, \
    coalesce((select max(seq) + 1 from fact where sweep = sweep.id), 0) as next_seq from sweep order by id";

pub(super) const LIVE: &str = "select id, name, host from sweep where state in ('running', 'paused') order by id";

pub(super) const EXTENT: &str = "\
    select count(*), coalesce(sum(state not in ('waiting', 'running')), 0), coalesce(sum(excluded), 0), \
    (select count(*) from trial t join run r on r.trial = t.id \
    where t.sweep = ?1 and r.fold >= 0 and r.state = 'finished') \
    from trial where sweep = ?1";

pub(super) const SHAPE: &str = "\
    select direction, folds, coalesce((select max(seq) + 1 from fact where sweep = sweep.id), 0) as next_seq \
    from sweep where id = ?";

pub(super) const OUTLINES: &str = "\
    select s.*, coalesce((select max(seq) + 1 from fact where sweep = s.id), 0) as next_seq, \
    count(t.id) as proposed, coalesce(sum(t.state = 'finished'), 0) as finished, \
    coalesce(sum(t.state = 'failed'), 0) as failed, coalesce(sum(t.state = 'pruned'), 0) as given_up, \
    coalesce(sum(t.state = 'cancelled'), 0) as cancelled, \
    (select score from trial where sweep = s.id and number = -1) as baseline \
    from sweep s left join trial t on t.sweep = s.id and t.number >= 0 \
    where ?1 is null or s.id = ?1 group by s.id order by s.id";

pub(super) const IMPROVEMENTS: &str = "\
    select sweep, number, score, nth, ended_ms from ( \
        select t.sweep, t.number, t.score, t.ended_ms, t.loss, row_number() over so_far as nth, \
        min(t.loss) over (so_far rows between unbounded preceding and 1 preceding) as best \
        from ( \
            select t.*, case s.direction when 'maximize' then -t.score else t.score end as loss \
            from trial t join sweep s on s.id = t.sweep \
            where t.state = 'finished' and t.number >= 0 and not t.excluded and (?1 is null or t.sweep = ?1) \
        ) t \
        window so_far as (partition by t.sweep order by t.ended_ms, t.number) \
    ) where best is null or loss < best order by sweep, nth";

pub(super) const OPEN: &str = "\
    select t.sweep, t.number, r.repeat, r.fold, r.attempt, r.state, r.started_ms \
    from trial t join run r on r.trial = t.id \
    where t.state in ('waiting', 'running') and (?1 is null or t.sweep = ?1) \
    and r.fold >= 0 and r.state in ('finished', 'running') order by t.sweep, t.number";

pub(super) const TRIALS: &str = "\
    select number, state, score, score_se, params, why, given_up, proposed_ms, ended_ms, excluded, note, tags \
    from trial where sweep = ? order by number";

/// All but the score in one column: a column of fifty thousand rows costs more than to read it out of a text, in which
/// only the digits of a score might suffer.
pub(super) const RUNS: &str = "\
    select t.number, r.score, json_object('repeat', r.repeat, 'fold', r.fold, 'attempt', r.attempt, 'state', r.state, \
    'best_epoch', r.best_epoch, 'epochs', r.epochs, 'memory', r.peak_memory_mb, 'slot', r.slot, 'device', r.device, \
    'host', r.host, 'pid', r.pid, 'started', r.started_ms, 'ended', r.ended_ms, 'why', r.why) \
    from trial t join run r on r.trial = t.id where t.sweep = ? and r.fold >= 0 \
    order by t.number, r.repeat, r.fold, r.attempt";

/// A range of the primary key.
pub(super) const SAMPLES: &str = "\
    select epoch, step, value from metric \
    where run = ?1 and name = (select id from metric_name where name = ?2) and split = ?3 and (epoch, step) > (?4, ?5) \
    order by epoch, step";

/// One look into the primary key for each name that there is, in place of all that the run has measured.
pub(super) const METRIC_NAMES: &str = "\
    select s.split, n.name from metric_name n, (select 0 as split union all select 1 union all select 2) s \
    where exists (select 1 from metric m where m.run = ?1 and m.name = n.id and m.split = s.split) \
    order by s.split, n.name";

/// The last one of the epoch; by ranges of the primary key.
pub(super) const FINALS: &str = "\
    select r.repeat, r.fold, n.name, ( \
        select m.value from metric m where m.run = r.id and m.name = n.id and m.split = 1 and m.epoch = r.best_epoch \
        order by m.step desc limit 1 \
    ) as value \
    from trial t join run r on r.trial = t.id join metric_name n \
    where t.sweep = ? and t.number = ? and r.fold >= 0 and r.state = 'finished' and exists ( \
        select 1 from metric m where m.run = r.id and m.name = n.id and m.split = 1 and m.epoch = r.best_epoch \
    ) order by n.name, r.repeat, r.fold";

pub(super) const CONFUSIONS: &str = "\
    select p.label, p.predicted, count(*) as documents \
    from trial t join run r on r.trial = t.id join prediction p on p.run = r.id \
    where t.sweep = ? and t.number = ? and r.fold >= 0 and r.state = 'finished' \
    group by p.label, p.predicted";

pub(super) const MISTAKES: &str = "\
    select r.repeat, r.fold, d.name, p.label, p.predicted, p.confidence \
    from trial t join run r on r.trial = t.id join prediction p on p.run = r.id join document d on d.id = p.document \
    where t.sweep = ? and t.number = ? and r.fold >= 0 and r.state = 'finished' and p.label <> p.predicted \
    order by p.confidence desc, d.name limit ?";
