//! The messages of Milvus's gRPC interface that are spoken here, with their numbers in the published protocol
//! (`milvus-io/milvus-proto`). Fields that are never set and never read are left out: protobuf skips what it does not know.

use prost::{Message, Oneof};

// === Values of enumerations ===

/// Kinds of fields.
pub(super) mod kind {
    pub(crate) const INT64: i32 = 5;
    pub(crate) const VARCHAR: i32 = 21;
    pub(crate) const ARRAY: i32 = 22;
    pub(crate) const JSON: i32 = 23;
    pub(crate) const FLOAT_VECTOR: i32 = 101;
    pub(crate) const SPARSE_VECTOR: i32 = 104;
}

/// How much of what was written a read must see.
pub(super) mod consistency {
    pub(crate) const STRONG: i32 = 0;
    pub(crate) const BOUNDED: i32 = 2;
}

/// The function that makes sparse vectors for BM25 of a text.
pub(super) const FUNCTION_BM25: i32 = 1;
/// A filter is an expression.
pub(super) const DSL_EXPRESSION: i32 = 1;
/// A collection can be searched.
pub(super) const LOADED: i32 = 3;

// === Shared parts ===

/// How a call ended: all is well where both codes are 0.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    /// What servers before 2.3 set.
    #[prost(int32, tag = "1")]
    pub(super) error_code: i32,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
    #[prost(int32, tag = "3")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

impl KeyValue {
    pub(super) fn new(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.into() }
    }
}

// === Schema ===

#[derive(Clone, PartialEq, Message)]
pub(super) struct CollectionSchema {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) description: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) fields: Vec<FieldSchema>,
    #[prost(message, repeated, tag = "7")]
    pub(super) functions: Vec<FunctionSchema>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldSchema {
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(bool, tag = "3")]
    pub(super) is_primary_key: bool,
    #[prost(int32, tag = "5")]
    pub(super) data_type: i32,
    #[prost(message, repeated, tag = "6")]
    pub(super) type_params: Vec<KeyValue>,
    #[prost(int32, tag = "10")]
    pub(super) element_type: i32,
    #[prost(bool, tag = "16")]
    pub(super) is_function_output: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FunctionSchema {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "4")]
    pub(super) kind: i32,
    #[prost(string, repeated, tag = "5")]
    pub(super) inputs: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    pub(super) outputs: Vec<String>,
}

// === Columns ===

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldData {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(oneof = "Column", tags = "3, 4")]
    pub(super) column: Option<Column>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Column {
    #[prost(message, tag = "3")]
    Scalars(Scalars),
    #[prost(message, tag = "4")]
    Vectors(Vectors),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scalars {
    #[prost(oneof = "Values", tags = "3, 6, 8, 9")]
    pub(super) values: Option<Values>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Values {
    #[prost(message, tag = "3")]
    Longs(Longs),
    #[prost(message, tag = "6")]
    Strings(Strings),
    #[prost(message, tag = "8")]
    Arrays(Arrays),
    #[prost(message, tag = "9")]
    Json(Json),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Longs {
    #[prost(int64, repeated, tag = "1")]
    pub(super) data: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Strings {
    #[prost(string, repeated, tag = "1")]
    pub(super) data: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Arrays {
    #[prost(message, repeated, tag = "1")]
    pub(super) data: Vec<Scalars>,
    #[prost(int32, tag = "2")]
    pub(super) element_type: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Json {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) data: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Floats {
    #[prost(float, repeated, tag = "1")]
    pub(super) data: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Vectors {
    #[prost(int64, tag = "1")]
    pub(super) dimensions: i64,
    #[prost(message, optional, tag = "2")]
    pub(super) floats: Option<Floats>,
}

// === Calls and what they answer ===

/// A request, and what it is answered with.
pub(super) trait Call: Message + Default + Clone + 'static {
    /// What the server sends back.
    type Answer: Answer;
    /// The method's path.
    const PATH: &'static str;
    /// Changes nothing, so that it may be sent again whatever became of it.
    const READS: bool;
}

/// What the server sends back.
pub(super) trait Answer: Message + Default + 'static {
    /// How the call ended.
    fn status(&self) -> Option<&Status>;
}

impl Answer for Status {
    fn status(&self) -> Option<&Status> {
        Some(self)
    }
}

macro_rules! calls {
    ($($request:ty, $method:literal, $answer:ty, reads: $reads:literal;)*) => {$(
        impl Call for $request {
            type Answer = $answer;
            const PATH: &'static str = concat!("/milvus.proto.milvus.MilvusService/", $method);
            const READS: bool = $reads;
        }
    )*};
}

macro_rules! answers {
    ($($answer:ty),*) => {$(
        impl Answer for $answer {
            fn status(&self) -> Option<&Status> {
                self.status.as_ref()
            }
        }
    )*};
}

calls! {
    CreateCollection, "CreateCollection", Status, reads: false;
    DropCollection, "DropCollection", Status, reads: false;
    DescribeCollection, "DescribeCollection", Described, reads: true;
    ShowCollections, "ShowCollections", Shown, reads: true;
    CreateIndex, "CreateIndex", Status, reads: false;
    LoadCollection, "LoadCollection", Status, reads: false;
    GetLoadState, "GetLoadState", LoadState, reads: true;
    CreateAlias, "CreateAlias", Status, reads: false;
    AlterAlias, "AlterAlias", Status, reads: false;
    Upsert, "Upsert", Changed, reads: false;
    Delete, "Delete", Changed, reads: false;
    Flush, "Flush", Flushed, reads: false;
    Query, "Query", Queried, reads: true;
    Search, "Search", Searched, reads: true;
}

answers!(Described, Shown, LoadState, Changed, Flushed, Queried, Searched);

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateCollection {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    /// An encoded [`CollectionSchema`].
    #[prost(bytes = "vec", tag = "4")]
    pub(super) schema: Vec<u8>,
    #[prost(int32, tag = "6")]
    pub(super) consistency: i32,
    #[prost(message, repeated, tag = "7")]
    pub(super) properties: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DropCollection {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DescribeCollection {
    /// A collection or an alias of one.
    #[prost(string, tag = "3")]
    pub(super) collection: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Described {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub(super) schema: Option<CollectionSchema>,
    /// The collection's own name, whatever it was asked by.
    #[prost(string, tag = "12")]
    pub(super) collection: String,
    #[prost(message, repeated, tag = "13")]
    pub(super) properties: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ShowCollections {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shown {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(string, repeated, tag = "2")]
    pub(super) collections: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateIndex {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    #[prost(string, tag = "4")]
    pub(super) field: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) params: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LoadCollection {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetLoadState {
    #[prost(string, tag = "2")]
    pub(super) collection: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LoadState {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(int32, tag = "2")]
    pub(super) state: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateAlias {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    #[prost(string, tag = "4")]
    pub(super) alias: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AlterAlias {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    #[prost(string, tag = "4")]
    pub(super) alias: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Upsert {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) columns: Vec<FieldData>,
    #[prost(uint32, tag = "7")]
    pub(super) rows: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Delete {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    #[prost(string, tag = "5")]
    pub(super) expression: String,
    #[prost(int32, tag = "7")]
    pub(super) consistency: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Changed {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Flush {
    #[prost(string, repeated, tag = "3")]
    pub(super) collections: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Flushed {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Query {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    #[prost(string, tag = "4")]
    pub(super) expression: String,
    #[prost(string, repeated, tag = "5")]
    pub(super) fields: Vec<String>,
    #[prost(message, repeated, tag = "9")]
    pub(super) params: Vec<KeyValue>,
    #[prost(int32, tag = "11")]
    pub(super) consistency: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Queried {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, repeated, tag = "2")]
    pub(super) columns: Vec<FieldData>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Search {
    #[prost(string, tag = "3")]
    pub(super) collection: String,
    #[prost(string, tag = "5")]
    pub(super) expression: String,
    /// Encoded [`Placeholders`].
    #[prost(bytes = "vec", tag = "6")]
    pub(super) placeholders: Vec<u8>,
    #[prost(int32, tag = "7")]
    pub(super) dsl: i32,
    #[prost(message, repeated, tag = "9")]
    pub(super) params: Vec<KeyValue>,
    #[prost(int64, tag = "12")]
    pub(super) questions: i64,
    #[prost(int32, tag = "14")]
    pub(super) consistency: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Placeholders {
    #[prost(message, repeated, tag = "1")]
    pub(super) placeholders: Vec<Placeholder>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Placeholder {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(int32, tag = "2")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) values: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Searched {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub(super) results: Option<Hits>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Hits {
    #[prost(float, repeated, tag = "4")]
    pub(super) scores: Vec<f32>,
    #[prost(message, optional, tag = "5")]
    pub(super) ids: Option<Ids>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Ids {
    #[prost(message, optional, tag = "2")]
    pub(super) strings: Option<Strings>,
}
