//! A request as the classifier sees it: who said what, and the facts beside the text.
//!
//! Owns the cut from a whole conversation to what counts (the application's instructions, the last thing the user
//! said, what came before). Refuses opinions: nothing is judged here.

use api::{ChatRequest, Contract, Modality, Part, Role};

/// A request's texts and facts.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The application's instructions, joined by newlines; empty where there are none.
    pub system: String,
    /// The last thing that the user said.
    pub user: String,
    /// What users, assistants and tools said before and after that, oldest first.
    pub others: Vec<String>,
    /// What the user said before the last time; empty in a first turn.
    pub earlier_user: String,
    /// Messages in the conversation, instructions included.
    pub messages: usize,
    /// What the request carries besides text.
    pub modality: Modality,
    /// Tools are offered.
    pub tools: bool,
    /// The form that `response_format` asks for.
    pub contract: Contract,
    /// The request's own limit on the answer.
    pub tokens_max: Option<u64>,
    /// How many answers are wanted.
    pub answers: u32,
}

impl View {
    /// A request of one text, as in an exemplar.
    pub fn of(system: Option<&str>, text: &str) -> Self {
        Self {
            system: system.unwrap_or_default().to_owned(),
            user: text.to_owned(),
            messages: 1 + usize::from(system.is_some()),
            answers: 1,
            ..Self::default()
        }
    }

    /// The text whose vector stands for the request: what the user said, and before it what gives it its meaning.
    pub fn encoder_text(&self) -> String {
        self.frame() + &self.user
    }

    /// Whether nothing gives meaning to what the user said last but itself: no instructions, and no question before a
    /// short follow-up.
    pub fn stands_alone(&self) -> bool {
        self.system.is_empty() && !self.follows_up()
    }

    /// What gives the user's last words their meaning: short instructions, the question before a short follow-up.
    pub(crate) fn frame(&self) -> String {
        const INSTRUCTION_BYTES: usize = 600;
        let mut text = String::with_capacity(self.user.len() + 64);
        if !self.system.is_empty() {
            text.push_str(head(&self.system, INSTRUCTION_BYTES));
            text.push('\n');
        }
        if self.follows_up() {
            text.push_str(head(&self.earlier_user, INSTRUCTION_BYTES));
            text.push('\n');
        }
        text
    }

    /// Whether what the user said last is so short that the question before it gives it its meaning.
    pub(crate) fn follows_up(&self) -> bool {
        const FOLLOW_UP_BYTES: usize = 60;
        self.user.len() < FOLLOW_UP_BYTES && !self.earlier_user.is_empty()
    }

    /// Every text of the request, the instructions first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        [self.system.as_str(), self.user.as_str()]
            .into_iter()
            .chain(self.others.iter().map(String::as_str))
            .filter(|text| !text.is_empty())
    }
}

/// The first `bytes` of a text, cut between characters.
pub(crate) fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The last `bytes` of a text, cut between characters.
pub(crate) fn tail(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

impl From<&ChatRequest> for View {
    fn from(request: &ChatRequest) -> Self {
        let last_user = request.messages.iter().rposition(|message| message.role == Role::User);
        let mut view = Self {
            system: request.system_text(),
            messages: request.messages.len(),
            modality: Modality {
                images: request.has_part(|part| *part == Part::Image),
                audio: request.has_part(|part| matches!(part, Part::Other(_))),
            },
            tools: request.tools,
            contract: request.contract.clone(),
            tokens_max: request.sampling.max_tokens,
            answers: request.sampling.n,
            ..Self::default()
        };
        for (place, message) in request.messages.iter().enumerate() {
            let text = message.content.text();
            match message.role {
                Role::System | Role::Developer => {}
                _ if Some(place) == last_user => view.user = text,
                Role::User => {
                    view.earlier_user.clone_from(&text);
                    view.others.push(text);
                }
                Role::Assistant | Role::Tool | Role::Function => view.others.push(text),
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_cut_into_its_roles() {
        let body = r#"{"model":"auto","tools":[{}],"max_tokens":7,"n":2,"messages":[
            {"role":"system","content":"Be brief."},{"role":"user","content":"Why is the sky blue?"},
            {"role":"assistant","content":"Scattering."},
            {"role":"user","content":[{"type":"text","text":"and red?"},{"type":"image_url"}]}]}"#;
        let request = ChatRequest::from_body(api::parse_object(body.as_bytes()).unwrap()).unwrap();
        let view = View::from(&request);
        assert_eq!((view.system.as_str(), view.user.as_str()), ("Be brief.", "and red?"));
        assert_eq!(view.others, ["Why is the sky blue?", "Scattering."]);
        assert_eq!(view.encoder_text(), "Be brief.\nWhy is the sky blue?\nand red?");
        assert!(view.tools && view.modality.images && !view.modality.audio);
        assert_eq!((view.tokens_max, view.answers, view.messages), (Some(7), 2, 4));
    }

    #[test]
    fn heads_and_tails_are_cut_between_characters() {
        assert_eq!((head("añb", 2), tail("añb", 2)), ("a", "b"));
        assert_eq!((head("ab", 9), tail("ab", 9)), ("ab", "ab"));
    }
}
