//! `[search.space]`, `search.constraints` and `search.start`: from tables to a space whose parameters fit together.

use serde_json::{Map, Value};

use super::reader::{Reader, describe, nearest, nearest_key};
use crate::search::space::{Condition, Domain, Expression, Misfit, Parameter, Point, Space, Test, Tied};

/// Keys by which a parameter is told from a table of parameters.
const DOMAIN: [&str; 4] = ["values", "low", "high", "equals"];
const TESTS: [&str; 5] = ["above", "below", "equals", "in", "not"];

/// Reads the space and its constraints.
pub(super) fn read(reader: &mut Reader<'_>) -> Space {
    let (mut free, mut tied) = (Vec::<Parameter>::new(), Vec::<Tied>::new());
    let mut unread = Vec::new();
    match reader.ask("space") {
        None => {}
        Some(Value::Object(table)) => {
            for (name, value) in flatten(table, &is_table) {
                let known = free.iter().map(|free| &free.name).chain(tied.iter().map(|tied| &tied.name));
                let twice = known.into_iter().any(|known| *known == name);
                match read_entry(value) {
                    Ok(_) if twice => reader.problem_at(&["space", &name], "stands there twice"),
                    Ok(Entry::Free(domain, when)) => free.push(Parameter { name, domain, when }),
                    Ok(Entry::Tied(equals, when)) => tied.push(Tied { name, equals, when }),
                    Err(what) => {
                        reader.problem_at(&["space", &name], what);
                        unread.push(name);
                    }
                }
            }
        }
        Some(other) => reader.expected("space", "a table of parameters", other),
    }
    let mut constraints = Vec::new();
    for text in reader.texts("constraints") {
        match Expression::parse(&text) {
            Ok(expression) => constraints.push(expression),
            Err(error) => reader.problem("constraints", format!("{text:?}: {error}")),
        }
    }
    let names: Vec<String> =
        free.iter().map(|free| &free.name).chain(tied.iter().map(|tied| &tied.name)).cloned().collect();
    Space::build(free, tied, constraints).unwrap_or_else(|misfits| {
        // what asks for a parameter that could not be read is not wrong for that
        let of_unread =
            |misfit: &Misfit| matches!(misfit, Misfit::Unknown { asks_for, .. } if unread.contains(asks_for));
        for misfit in misfits.iter().filter(|misfit| !of_unread(misfit)) {
            report(reader, misfit, &names);
        }
        Space::default()
    })
}

/// Reads the points of the first trials.
pub(super) fn read_start(reader: &mut Reader<'_>, space: &Space) -> Vec<Point> {
    let items = match reader.ask("start") {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(other) => {
            reader.expected("start", "a list of tables, such as [{ \"train.epochs\" = 3 }]", other);
            return Vec::new();
        }
    };
    let mut points = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let Value::Object(table) = item else {
            reader.expected("start", "a table in the list", item);
            continue;
        };
        let point: Point = flatten(table, &|_| true).into_iter().map(|(name, value)| (name, value.clone())).collect();
        let wrong: Vec<String> = point.iter().filter_map(|(name, value)| outside(space, name, value)).collect();
        for what in &wrong {
            reader.problem("start", format!("point {}: {what}", number + 1));
        }
        // a space that could not be read knows no names: that is said already
        if wrong.is_empty() {
            points.push(point);
        }
    }
    points
}

/// Why a value cannot be given to a start, or to a point that is asked for.
pub(super) fn outside(space: &Space, name: &str, value: &Value) -> Option<String> {
    if let Some(free) = space.parameters().iter().find(|free| free.name == name) {
        let what = || format!("{name}: {value} is not in its domain: {}", free.domain);
        return (!free.domain.contains(value)).then(what);
    }
    if space.tied().iter().any(|tied| tied.name == name) {
        return Some(format!("{name} follows from others: leave it out"));
    }
    let hint = nearest_key(name, space.names()).map(|known| format!("; did you mean `{known}`?"));
    Some(format!("{name} is not varied{}", hint.unwrap_or_default()))
}

fn report(reader: &mut Reader<'_>, misfit: &Misfit, names: &[String]) {
    match misfit {
        Misfit::Unknown { name, asks_for } => {
            let hint = nearest_key(asks_for, names.iter().map(String::as_str).filter(|known| known != name));
            let hint = hint.map_or_else(
                || "only what is varied can be asked for".to_owned(),
                |known| format!("did you mean `{known}`?"),
            );
            reader.problem_at(&["space", name], format!("{asks_for:?} is no parameter of the space; {hint}"));
        }
        Misfit::Cycle { name, way } => {
            reader.problem_at(&["space", name], format!("depends on itself: {}", way.join(" -> ")));
        }
        Misfit::Never { name, asks_for } => {
            let what = format!("when: no value of {asks_for:?} is such, so it would never be used");
            reader.problem_at(&["space", name], what);
        }
        Misfit::Kind { name } if names.contains(name) => {
            reader.problem_at(&["space", name], "equals: expected a value, found a comparison");
        }
        Misfit::Kind { name } => {
            reader.problem("constraints", format!("{name:?}: expected a comparison, such as \"a % b == 0\""));
        }
    }
}

/// Whether a table holds parameters, and is none itself, not even a misspelt one.
fn is_table(inner: &Map<String, Value>) -> bool {
    inner
        .iter()
        .all(|(key, value)| (value.is_object() || value.is_array()) && nearest(key, DOMAIN.into_iter()).is_none())
}

/// `"train.learning_rate" = {…}` and `train.learning_rate = {…}` mean the same. Tables are gone into where `goes_on`.
fn flatten<'v>(
    table: &'v Map<String, Value>,
    goes_on: &dyn Fn(&Map<String, Value>) -> bool,
) -> Vec<(String, &'v Value)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            Value::Object(inner) if !inner.is_empty() && goes_on(inner) => {
                let inner = flatten(inner, goes_on).into_iter();
                flat.extend(inner.map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
            _ => flat.push((name.clone(), value)),
        }
    }
    flat
}

enum Entry {
    Free(Domain, Option<Condition>),
    Tied(Expression, Option<Condition>),
}

fn read_entry(value: &Value) -> Result<Entry, String> {
    const FORM: &str = "{ values = [...] }, { low = .., high = .. } or { equals = \"..\" }";
    let table = match value {
        Value::Array(values) => return Ok(Entry::Free(values_domain(values)?, None)),
        Value::Object(table) => table,
        other => return Err(format!("expected {FORM}, found {}", describe(other))),
    };
    let known = ["values", "low", "high", "log", "step", "equals", "when"];
    if let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) {
        let hint = nearest(unknown, known.into_iter())
            .map_or_else(|| format!("known here: {}", known.join(", ")), |known| format!("did you mean `{known}`?"));
        return Err(format!("unknown key {unknown:?}; {hint}"));
    }
    let when = table.get("when").map(read_condition).transpose()?;
    let alone = |key: &str| {
        let other = table.keys().find(|other| *other != key && *other != "when");
        other.map_or(Ok(()), |other| Err(format!("give {key} or {other}, not both")))
    };
    if let Some(expression) = table.get("equals") {
        alone("equals")?;
        let text = match expression {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => return Err(format!("equals: expected an expression, found {}", describe(other))),
        };
        let expression = Expression::parse(&text).map_err(|error| format!("equals: {text:?}: {error}"))?;
        return Ok(Entry::Tied(expression, when));
    }
    if let Some(values) = table.get("values") {
        alone("values")?;
        let Value::Array(values) = values else {
            return Err(format!("values: expected a list, found {}", describe(values)));
        };
        return Ok(Entry::Free(values_domain(values)?, when));
    }
    let (Some(low), Some(high)) = (table.get("low"), table.get("high")) else {
        return Err(format!("expected {FORM}"));
    };
    let log = match table.get("log") {
        None => false,
        Some(Value::Bool(log)) => *log,
        Some(other) => return Err(format!("log: expected true or false, found {}", describe(other))),
    };
    Ok(Entry::Free(range_domain(low, high, log, table.get("step"))?, when))
}

fn values_domain(values: &[Value]) -> Result<Domain, String> {
    if values.is_empty() {
        return Err("values: an empty list has nothing to try".to_owned());
    }
    for (index, value) in values.iter().enumerate() {
        let earlier = Domain::Values(values[..index].to_vec());
        if earlier.level(value).is_some() {
            return Err(format!("values: {value} stands there twice"));
        }
    }
    Ok(Domain::Values(values.to_vec()))
}

fn range_domain(low: &Value, high: &Value, log: bool, step: Option<&Value>) -> Result<Domain, String> {
    let number = |name: &str, value: &Value| {
        value.as_f64().ok_or_else(|| format!("{name}: expected a number, found {}", describe(value)))
    };
    let (low_number, high_number) = (number("low", low)?, number("high", high)?);
    if low_number >= high_number {
        return Err(format!("low ({low}) must be below high ({high})"));
    }
    if log && low_number <= 0.0 {
        return Err(format!("low ({low}) must be above 0 on a log scale"));
    }
    if let (Some(low), Some(high)) = (low.as_i64(), high.as_i64()) {
        let step = match step.map(|step| (step, step.as_i64())) {
            None => 1,
            Some((_, Some(step))) if step >= 1 => step,
            Some((step, _)) => {
                return Err(format!("step: expected an integer of 1 or more, found {}", describe(step)));
            }
        };
        return Ok(Domain::Integer { low, high, step, log });
    }
    if let Some(step) = step {
        return Err(format!("step ({step}) is for integers: write low and high without a decimal point"));
    }
    if !(high_number - low_number).is_finite() {
        return Err(format!("from low ({low}) to high ({high}) is too far"));
    }
    Ok(Domain::Float { low: low_number, high: high_number, log })
}

/// `{ "model.aggregator.layers" = { above = 0 } }`
fn read_condition(value: &Value) -> Result<Condition, String> {
    let Value::Object(table) = value else {
        return Err(format!("when: expected a table such as {{ \"a\" = {{ above = 0 }} }}, found {}", describe(value)));
    };
    if table.is_empty() {
        return Err("when: an empty table asks for nothing".to_owned());
    }
    let is_test = |inner: &Map<String, Value>| TESTS.iter().any(|test| inner.contains_key(*test));
    let mut tests = Vec::new();
    for (name, value) in flatten(table, &|inner| inner.values().all(Value::is_object) && !is_test(inner)) {
        match value {
            Value::Object(asked) => {
                for (key, value) in asked {
                    tests.push((name.clone(), read_test(key, value).map_err(|what| format!("when: {name}: {what}"))?));
                }
            }
            Value::Array(_) => {
                return Err(format!("when: {name}: write {{ in = {value} }} or {{ equals = {value} }}"));
            }
            value => tests.push((name, Test::Equals(value.clone()))),
        }
    }
    Ok(Condition(tests))
}

fn read_test(key: &str, value: &Value) -> Result<Test, String> {
    let number = || value.as_f64().ok_or_else(|| format!("{key}: expected a number, found {}", describe(value)));
    match (key, value) {
        ("above", _) => Ok(Test::Above(number()?)),
        ("below", _) => Ok(Test::Below(number()?)),
        ("equals", value) => Ok(Test::Equals(value.clone())),
        ("in", Value::Array(values)) if !values.is_empty() => Ok(Test::In(values.clone())),
        ("in", other) => Err(format!("in: expected a list of values, found {}", describe(other))),
        ("not", Value::Object(table)) => match table.iter().next() {
            Some((key, value)) if table.len() == 1 => Ok(Test::Not(Box::new(read_test(key, value)?))),
            _ => Err("not: expected one test, such as { not = { in = [1, 2] } }".to_owned()),
        },
        ("not", value) => Ok(Test::Not(Box::new(Test::Equals(value.clone())))),
        _ => {
            let hint = nearest(key, TESTS.into_iter()).map_or_else(
                || format!("known here: {}", TESTS.join(", ")),
                |known| format!("did you mean `{known}`?"),
            );
            Err(format!("unknown test {key:?}; {hint}"))
        }
    }
}
