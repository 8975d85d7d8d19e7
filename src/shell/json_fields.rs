//! JSON objects read field by field, strictly: an unknown key, a key that stands twice or a wrong
//! type is refused by the field's name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::config::problem::did_you_mean;
use crate::engine::Refusal;

pub fn refusal(error: impl Into<String>, field: Option<&str>, hint: Option<&str>) -> Refusal {
    Refusal { error: error.into(), field: field.map(str::to_owned), hint: hint.map(str::to_owned) }
}

/// The fields of one object that nobody has asked for yet.
pub struct Fields {
    left: BTreeMap<String, Value>,
    asked: Vec<&'static str>,
}

/// An object with its keys as they came, doubles included.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Fields {
    pub fn read(body: &[u8]) -> Result<Fields, Refusal> {
        let Pairs(pairs) = serde_json::from_slice(body).map_err(|e| {
            let what = format!("the body is not one JSON object (line {}, column {})", e.line(), e.column());
            refusal(what, None, None)
        })?;
        let mut left = BTreeMap::new();
        for (key, value) in pairs {
            if left.contains_key(&key) {
                return Err(refusal("this key stands twice", Some(&key), None));
            }
            left.insert(key, value);
        }
        Ok(Fields { left, asked: Vec::new() })
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.asked.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// A text; null and absent are `None`.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(refusal("must be a JSON string", Some(name), Some("put the value in double quotes"))),
        }
    }

    pub fn required_text(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| refusal("is missing", Some(name), None))
    }

    /// A text read further; the reader's error names what is wrong with it.
    pub fn read_text<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Refusal> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => read(&text).map(Some).map_err(|e| refusal(e.to_string(), Some(name), None)),
        }
    }

    pub fn whole_number(&mut self, name: &'static str) -> Result<Option<u64>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| refusal("must be a whole number", Some(name), None)),
        }
    }

    /// An object of texts, or a list of such objects, read by `serde`.
    pub fn value<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> Result<Option<T>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|_| refusal(format!("must be {expected}"), Some(name), None)),
        }
    }

    /// To be called last: whatever nobody asked for is unknown.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(unknown) => {
                let hint = did_you_mean(unknown, &self.asked);
                Err(refusal("unknown key", Some(unknown), Some(&hint)))
            }
        }
    }
}
