//! The questions of a policy: where each answer leads, and that every question can be reached.

use std::collections::HashMap;

use api::Track;
use cel::Context;

use super::{TRACKS, targets};
use crate::catalogue::Catalogue;
use crate::expression::Expression;
use crate::file::{Field, Table, allowed};
use crate::flow::{End, Flow, Question, Turn};

/// The answer that leads to the question below.
const NEXT: &str = "next";
/// More is no flow that a person can follow.
const QUESTIONS_MAX: usize = 100;

/// Reads the questions; `None` after a mistake that leaves no flow.
pub(super) fn read(tables: Vec<Table<'_>>, catalogue: &Catalogue) -> Option<Flow> {
    if let Some(table) = tables.get(QUESTIONS_MAX) {
        table.wrong(format!("there are more than {QUESTIONS_MAX} questions"));
    }
    let ids = ids(&tables);
    let count = tables.len();
    let mut questions: Vec<Option<Question>> = Vec::with_capacity(count);
    let mut fields = Vec::with_capacity(count);
    for (place, table) in tables.into_iter().enumerate() {
        let turn = |key: &str| {
            let field = table.required(key);
            if field.is_table() { end(&field, catalogue) } else { turn(&field, place, count, &ids) }
        };
        let (yes, no) = (turn("yes"), turn("no"));
        let when = table.required("when");
        let condition = when.text().and_then(|source| match Expression::compile(source) {
            Ok(expression) => Some(expression),
            Err(message) => {
                when.wrong(message);
                None
            }
        });
        let authority = table.optional("authoritative");
        let authoritative = authority.boolean().unwrap_or(false);
        if authoritative && yes.as_ref().is_some_and(|yes| !leads_to_passages(yes)) {
            authority.wrong("only passages can be declared right: `yes` must be \"retrieval\"");
        }
        let (id, ask) = (table.required("id").text(), table.required("ask").text());
        fields.push(table.optional("id"));
        table.finish();
        questions.push((|| {
            let (id, ask) = (id?.to_owned(), ask?.to_owned());
            Some(Question { id, ask, when: condition?, yes: yes?, no: no?, authoritative })
        })());
    }
    let questions = questions.into_iter().collect::<Option<Vec<Question>>>()?;
    check_reached(&questions, &fields);
    Some(Flow { start: Turn::Question(0), questions })
}

/// The places of the ids, each given once.
fn ids<'d>(tables: &[Table<'d>]) -> HashMap<&'d str, usize> {
    let mut ids = HashMap::new();
    for (place, table) in tables.iter().enumerate() {
        let field = table.optional("id");
        let Some(id) = field.text() else { continue };
        let taken = id == NEXT || id == "refuse" || TRACKS.iter().any(|(name, _)| *name == id);
        if taken {
            field.wrong(format!("`{id}` already means a way to go on; choose another id"));
        }
        if !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            field.wrong("an id is made of letters, digits, `-` and `_`: it is a label in metrics");
        }
        if ids.insert(id, place).is_some() {
            field.wrong(format!("the id `{id}` is given twice; every question needs its own"));
        }
    }
    ids
}

fn leads_to_passages(turn: &Turn) -> bool {
    matches!(turn, Turn::End(End { track: Track::Retrieval, .. }))
}

/// `{ track = "external", targets = [...] }`: a track with other targets than the policy's.
fn end(field: &Field<'_>, catalogue: &Catalogue) -> Option<Turn> {
    let table = field.table()?;
    let (track, list) = (table.required("track").one_of(TRACKS), table.required("targets"));
    table.finish();
    let targets = targets::list(&list, track?, catalogue);
    if list.is_given() && list.text_list().is_empty() {
        list.wrong("this list names nobody; name a target, or lead to the track alone");
    }
    Some(Turn::End(End { track: track?, targets: Some(targets.into()) }))
}

/// Where `yes` or `no` leads: to a track, to the next question, or to a later one by its id.
fn turn(field: &Field<'_>, place: usize, count: usize, ids: &HashMap<&str, usize>) -> Option<Turn> {
    let text = field.text()?;
    if let Some((_, track)) = TRACKS.iter().find(|(name, _)| *name == text) {
        return Some(Turn::from(*track));
    }
    if text == NEXT && place + 1 < count {
        return Some(Turn::Question(place + 1));
    }
    let mistake = match ids.get(text) {
        Some(&later) if later > place => return Some(Turn::Question(later)),
        Some(_) => format!("`{text}` is not below this question: a flow that goes back would never end"),
        None if text == NEXT => "this is the last question, so nothing is next; name a track".to_owned(),
        None => {
            let tracks = TRACKS.iter().map(|(name, _)| *name);
            let mut later: Vec<&str> = ids.iter().filter(|(_, at)| **at > place).map(|(id, _)| *id).collect();
            later.sort_by_key(|id| ids.get(id));
            let names: Vec<&str> = tracks.chain([NEXT]).chain(later).collect();
            format!(
                "`{text}` is neither a track nor a question below{}",
                allowed(text, names.iter().copied())
            )
        }
    };
    field.wrong(mistake);
    None
}

/// Notes every question that no way leads to.
fn check_reached(questions: &[Question], fields: &[Field<'_>]) {
    let mut reached = vec![false; questions.len()];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for (place, question) in questions.iter().enumerate() {
        if !reached[place] {
            if let Some(field) = fields.get(place) {
                field.wrong(format!("no answer leads to the question `{}`", question.id));
            }
            continue;
        }
        for turn in possible(question) {
            if let Turn::Question(next) = turn {
                reached[*next] = true;
            }
        }
    }
}

/// The ways out of a question: one, where its condition reads nothing and so has the same answer for everybody.
fn possible(question: &Question) -> Vec<&Turn> {
    if !question.when.reads().is_empty() {
        return vec![&question.yes, &question.no];
    }
    let yes = question.when.holds(&Context::default()).unwrap_or(false);
    vec![if yes { &question.yes } else { &question.no }]
}
