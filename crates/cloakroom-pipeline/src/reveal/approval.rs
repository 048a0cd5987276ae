//! Four eyes: one person asks, another agrees by signing what was asked for, and what was agreed to can be done once.
//!
//! Neither file holds a value. The second person needs no access to keys or data: only their own key, whose public half stands
//! in the policy.

use std::path::Path;

use cloakroom_core::Policy;
use cloakroom_crypto::audit::{fixed, push_text};
use cloakroom_crypto::{ApproverKey, AuditPublicKey};
use serde::{Deserialize, Serialize};

use super::Demand;
use crate::audit::{AuditText, Level, Refusal, RequestId};
use crate::error::ConnectorError;

/// What every request says it is.
const KIND: &str = "cloakroom reveal request";
/// What is signed begins with it.
const SIGNED: &str = "ck1/reveal/approval\n";
/// Seconds for which a request can be agreed to and used.
pub const VALID_SECONDS: i64 = 24 * 60 * 60;

/// What somebody asks another person to agree to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What it is.
    pub kind: String,
    /// Its random name.
    pub id: String,
    /// When it was asked, RFC 3339 in UTC; it is good for a day.
    pub time: String,
    /// Who asks.
    pub principal: String,
    /// What for.
    pub purpose: String,
    /// Why.
    pub reason: String,
    /// How much of each value.
    pub level: String,
    /// Only these fields; all that the principal may see where both lists are empty.
    pub fields: Vec<String>,
    /// Only these classes.
    pub classes: Vec<String>,
    /// Whose data.
    pub tenant: String,
    /// What kind of records.
    pub collection: String,
    /// How many people at most.
    pub subjects: u64,
}

/// A request, signed by who agrees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// What was asked for.
    pub request: Asked,
    /// Whose key signed it.
    pub public_key: String,
    /// Ed25519 (RFC 8032) of `ck1/reveal/approval`, a line end, and the request as JSON without spaces; base64url.
    pub signature: String,
}

impl Asked {
    /// A request for what is demanded.
    #[must_use]
    pub fn new(demand: &Demand, policy: &Policy, subjects: u64, time: String) -> Self {
        Self {
            kind: KIND.to_owned(),
            id: RequestId::random().to_string(),
            time,
            principal: demand.principal.as_str().to_owned(),
            purpose: demand.purpose.as_str().to_owned(),
            reason: demand.reason.as_str().to_owned(),
            level: Level::from(demand.level).as_str().to_owned(),
            fields: demand.fields.clone(),
            classes: demand.classes.clone(),
            tenant: policy.tenant().to_owned(),
            collection: policy.collection().to_owned(),
            subjects,
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ConnectorError> {
        let wrong =
            || ConnectorError::configuration("the file is not a request that `cloakroom reveal --request` wrote");
        let asked: Self = serde_json::from_str(text).map_err(|_| wrong())?;
        let texts = [&asked.principal, &asked.purpose, &asked.reason];
        // What the second person reads must be what stands there.
        let is_plain =
            texts.into_iter().all(|text| AuditText::new("text", text).is_ok_and(|plain| plain.as_str() == text));
        if asked.kind == KIND && RequestId::parse(&asked.id).is_some() && is_plain { Ok(asked) } else { Err(wrong()) }
    }

    fn message(&self) -> Result<Vec<u8>, ConnectorError> {
        let json = serde_json::to_string(self).map_err(|_| ConnectorError::configuration("the request is no JSON"))?;
        Ok([SIGNED.as_bytes(), json.as_bytes()].concat())
    }
}

impl Approval {
    /// Agrees.
    ///
    /// # Errors
    /// When the request cannot be written as JSON, which does not happen.
    pub fn sign(request: Asked, key: &ApproverKey) -> Result<Self, ConnectorError> {
        let mut signature = String::new();
        push_text(&mut signature, &key.sign(&request.message()?));
        Ok(Self { request, public_key: key.public_key().to_string(), signature })
    }

    /// Reads an approval.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ConnectorError> {
        serde_json::from_str(text)
            .map_err(|_| ConnectorError::configuration("the file is not an approval that `cloakroom approve` wrote"))
    }

    /// Reads an approval's file.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, ConnectorError> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| ConnectorError::io(&name, &error))?;
        Self::parse(&text).map_err(|error| error.context(name))
    }

    /// The name of who agreed, when a demand is what was agreed to; else why not, in words.
    pub(super) fn fits(&self, demand: &Demand, policy: &Policy, earliest: &str) -> Result<String, (Refusal, String)> {
        let refuse = |text: String| Err((Refusal::NoApproval, text));
        let Asked { time, principal, .. } = &self.request;
        let Some((name, key)) = self.signer(policy) else {
            return refuse("the approval was signed by nobody whom the policy names, or was changed".to_owned());
        };
        let genuine = fixed(&self.signature)
            .zip(self.request.message().ok())
            .is_some_and(|(signature, message)| key.verify(&message, &signature).is_ok());
        if !genuine {
            return refuse("the approval was changed after it was signed".to_owned());
        }
        if name == principal {
            return refuse("nobody can agree to what they ask for themselves".to_owned());
        }
        let asked = Asked::new(demand, policy, self.request.subjects, time.clone());
        if (Asked { id: self.request.id.clone(), ..asked }) != self.request {
            return refuse(
                "the approval is for something else; give the same purpose, reason, level, fields and policy"
                    .to_owned(),
            );
        }
        if time.as_str() < earliest {
            return refuse("the approval is older than a day; ask again".to_owned());
        }
        Ok(name.to_owned())
    }

    fn signer<'p>(&self, policy: &'p Policy) -> Option<(&'p str, &'p AuditPublicKey)> {
        policy.reveal_rules().approvers().find(|(_, key)| key.to_string() == self.public_key)
    }
}
