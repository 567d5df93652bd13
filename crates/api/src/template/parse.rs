//! From the written form of a template to its pieces.

use super::{FIXED_BYTES_MIN, INPUT, Piece, Template};

const NAME_BYTES_MAX: usize = 32;

pub(super) fn template(text: &str) -> Result<Template, String> {
    let template = Template { pieces: pieces(text)? };
    let lonely = matches!(template.pieces.as_slice(), [Piece::Hole(name)] if name == INPUT);
    let fixed = template.fixed_bytes();
    if !lonely && fixed < FIXED_BYTES_MIN {
        return Err(format!(
            "a template needs at least {FIXED_BYTES_MIN} bytes of fixed text to tell its prompts from others, this one \
             has {fixed}; `{{input}}` alone is allowed"
        ));
    }
    Ok(template)
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut fixed = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        fixed.push_str(&rest[..at]);
        let brace = &rest[at..];
        let place = || place(text, text.len() - brace.len());
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            fixed.push_str(&brace[..1]);
            rest = after;
            continue;
        }
        let Some((name, after)) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')) else {
            let which = &brace[..1];
            return Err(format!(
                "{}: `{which}` stands alone; write `{which}{which}` for the sign itself",
                place()
            ));
        };
        check_name(name, &pieces).map_err(|wrong| format!("{}: {wrong}", place()))?;
        if fixed.trim().is_empty() && !fixed.contains('\n') && !pieces.is_empty() {
            return Err(format!(
                "{}: `{{{name}}}` follows another hole; text or a line break must stand between them",
                place()
            ));
        }
        if !fixed.is_empty() {
            pieces.push(Piece::Fixed(std::mem::take(&mut fixed)));
        }
        pieces.push(Piece::Hole(name.to_owned()));
        rest = after;
    }
    fixed.push_str(rest);
    if !fixed.is_empty() {
        pieces.push(Piece::Fixed(fixed));
    }
    Ok(pieces)
}

fn check_name(name: &str, pieces: &[Piece]) -> Result<(), String> {
    let proper = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(proper) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(format!(
            "`{{{shown}}}` names no hole: a name has 1 to {NAME_BYTES_MAX} lower-case letters, digits and `_`; write \
             `{{{{` and `}}}}` for braces"
        ));
    }
    if pieces.iter().any(|piece| matches!(piece, Piece::Hole(known) if known == name)) {
        return Err(format!("the hole `{{{name}}}` is given twice; every hole needs its own name"));
    }
    Ok(())
}

/// Line and column, from 1, of a byte offset.
fn place(text: &str, offset: usize) -> String {
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {line}, column {column}")
}
