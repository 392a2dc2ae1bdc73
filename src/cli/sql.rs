//! `sweep sql`: the database in its own language.

use clap::Args;
use serde_json::{Map, Number, Value};

use super::print::outln;
use super::{Format, render};
use crate::failure::{Code, Failure};
use crate::settings::Settings;
use crate::store::{Cell, Reader, schema};

#[derive(Debug, Args)]
pub(super) struct SqlArgs {
    /// One query; none: the views and their columns
    query: Option<String>,
}

/// Answers a query, or tells what can be asked.
pub(super) async fn sql(args: SqlArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let Some(query) = args.query else {
        list_views(format)?;
        return Ok(Code::Good);
    };
    let table = Reader::open(&settings.db).await?.query(&query).await?;
    match format {
        Format::Table => {
            let header: Vec<&str> = table.columns.iter().map(String::as_str).collect();
            let rows: Vec<Vec<String>> = table.rows.iter().map(|row| row.iter().map(text).collect()).collect();
            outln!("{}", render::table(&header, &rows));
        }
        Format::Json => {
            let object = |row: &Vec<Cell>| -> Map<String, Value> {
                table.columns.iter().cloned().zip(row.iter().map(json)).collect()
            };
            render::json(&table.rows.iter().map(object).collect::<Vec<_>>())?;
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
            let broken = |error: csv::Error| Failure::new(Code::Broken, format!("cannot write: {error}"));
            writer.write_record(&table.columns).map_err(broken)?;
            for row in &table.rows {
                writer.write_record(row.iter().map(text)).map_err(broken)?;
            }
            writer.flush().map_err(|error| broken(error.into()))?;
        }
    }
    Ok(Code::Good)
}

fn list_views(format: Format) -> Result<(), Failure> {
    let views = schema();
    if format == Format::Json {
        let column = |column: &crate::store::Column| serde_json::json!({ "name": column.name, "about": column.about });
        let view = |view: &crate::store::View| {
            let columns: Vec<Value> = view.columns.iter().map(column).collect();
            serde_json::json!({ "view": view.name, "about": view.about, "columns": columns })
        };
        return render::json(&views.iter().map(view).collect::<Vec<_>>());
    }
    for view in views {
        outln!("{}: {}", view.name, view.about);
        let rows: Vec<Vec<String>> =
            view.columns.iter().map(|column| vec![column.name.to_owned(), column.about.to_owned()]).collect();
        outln!("{}\n", render::table(&["column", ""], &rows));
    }
    outln!("example: sweep sql \"select trial, score, params from leaderboard where sweep = 'lr'\"");
    Ok(())
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => crate::text::hex(bytes),
    }
}

fn json(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::from(*number),
        Cell::Real(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Cell::Text(text) => Value::from(text.clone()),
        Cell::Blob(bytes) => Value::from(crate::text::hex(bytes)),
    }
}
