//! What is asked of an upstream, and how its answer is read.
//!
//! Owns all in which one kind of call differs from another: where it goes, what is sent, which answer is whole. Refuses
//! to know of attempts, endpoints and time: every question has the same life, which is `call`'s.

use api::{ChatRequest, Completion, Error};
use bytes::Bytes;
use dialects::{Embedded, EmbeddingsRequest, RerankRequest, Reranked, Wire};

use crate::arrival::Arrival;
use crate::failure::Failure;
use crate::stream::Answer;

/// The form of an answer: their times cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text, all at once.
    Whole,
    /// Text, piece by piece.
    Stream,
    /// Vectors.
    Vectors,
    /// Ranks.
    Ranks,
}

impl Form {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    /// A place in a list with one for each.
    pub(crate) fn place(self) -> usize {
        match self {
            Self::Whole => 0,
            Self::Stream => 1,
            Self::Vectors => 2,
            Self::Ranks => 3,
        }
    }
}

/// One kind of call.
pub(crate) trait Question: Sync {
    /// What an attempt gives that went well.
    type Given: Send;

    /// The form of the answer.
    fn form(&self) -> Form;

    /// Where it goes below the upstream's address.
    ///
    /// # Errors
    /// The upstream's dialect has no such call.
    fn path(&self, wire: Wire, model_id: &str) -> Result<String, Error>;

    /// What is sent.
    ///
    /// # Errors
    /// The upstream's dialect has no words for it.
    fn body(&self, wire: Wire, model_id: &str) -> Result<Bytes, Error>;

    /// Reads the answer as far as another attempt may still follow: all of it, or the first piece of a stream.
    fn read(&self, arrival: Arrival) -> impl Future<Output = Result<Self::Given, Failure>> + Send;
}

/// A chat completion, whole or begun.
pub(crate) enum Chatted {
    Whole(Box<Completion>),
    Stream(Box<Answer>),
}

impl Question for ChatRequest {
    type Given = Chatted;

    fn form(&self) -> Form {
        if self.stream { Form::Stream } else { Form::Whole }
    }

    fn path(&self, wire: Wire, model_id: &str) -> Result<String, Error> {
        Ok(wire.path(model_id, self.stream))
    }

    fn body(&self, wire: Wire, model_id: &str) -> Result<Bytes, Error> {
        wire.body(self, model_id)
    }

    async fn read(&self, arrival: Arrival) -> Result<Chatted, Failure> {
        let wire = arrival.wire;
        if self.stream {
            let answer = arrival.stream(wire.reader(self.sampling.n)).await?;
            return Ok(Chatted::Stream(answer));
        }
        let completion = arrival.whole(move |body| wire.whole(body)).await?;
        Ok(Chatted::Whole(Box::new(completion)))
    }
}

impl Question for EmbeddingsRequest {
    type Given = Embedded;

    fn form(&self) -> Form {
        Form::Vectors
    }

    fn path(&self, wire: Wire, model_id: &str) -> Result<String, Error> {
        wire.embeddings_path(model_id)
    }

    fn body(&self, wire: Wire, model_id: &str) -> Result<Bytes, Error> {
        wire.embeddings_body(self, model_id)
    }

    async fn read(&self, arrival: Arrival) -> Result<Embedded, Failure> {
        let (wire, count, dimensions) = (arrival.wire, self.inputs.len(), self.dimensions);
        arrival.whole(move |body| wire.embedded(body, count)?.of_length(dimensions)).await
    }
}

impl Question for RerankRequest {
    type Given = Reranked;

    fn form(&self) -> Form {
        Form::Ranks
    }

    fn path(&self, wire: Wire, _: &str) -> Result<String, Error> {
        wire.rerank_path()
    }

    fn body(&self, wire: Wire, model_id: &str) -> Result<Bytes, Error> {
        wire.rerank_body(self, model_id)
    }

    async fn read(&self, arrival: Arrival) -> Result<Reranked, Failure> {
        let (wire, documents, wanted) = (arrival.wire, self.documents.len(), self.wanted());
        arrival.whole(move |body| wire.reranked(body, documents)?.best(wanted)).await
    }
}
