//! Google's Gemini: `generateContent` and `streamGenerateContent?alt=sse`.
//!
//! Owns the writing of a request and the reading of answers, whole and by events. Refuses by name what Gemini has no
//! words for, and refuses to call an answer whole of which some candidate has no finish reason.
//!
//! **Carried along.** What only Gemini has comes under the body's key `gemini` (`safetySettings`, `cachedContent`,
//! `generationConfig.thinkingConfig`, ...) and is merged into the request; nothing may be said twice with two values. The
//! seals of its thoughts (`thoughtSignature`) go out on tool calls, images and messages as `extra_content.google.
//! thought_signature`, as Google's own endpoint for chat clients has it, and are put back from there. A call that another
//! model made has no seal: models of the third generation refuse it unless the documented stand-in is sent.
//!
//! **Moved.** All system messages become the one `systemInstruction`, wherever they stood; neighbouring messages of one
//! role become one turn. `strict` functions are asked for by the mode `VALIDATED`.
//!
//! **Left out, because it cannot change the answer:** `user`, `metadata`, `safety_identifier`, `prompt_cache_key`,
//! `prompt_cache_retention`, `prediction`, `store: false`, `service_tier` of `auto` and `default`, `cache_control`, a
//! file's name, the `name`, `description` and `strict` of a JSON schema (Gemini always holds to it), `annotations` on
//! messages that come back, and other providers' sealed reasoning (`thinking_blocks`, `reasoning_items`), which only who
//! sealed it can read.

mod answer;
mod calls;
mod contents;
mod media;
mod request;
mod tools;

pub(crate) use answer::{Reader, whole};
pub(crate) use request::body;
