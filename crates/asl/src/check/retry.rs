//! `Retry` and `Catch`.

use std::sync::Arc;

use stepwright_querylang::jsonata::Members;

use super::fields::{self, Fields};
use super::{Checker, Step, number_limits};
use crate::definition::{Catcher, JsonataFields, QueryLanguage, ResultPath, Retrier};
use crate::json::Node;

/// The error name that stands for all; it must be alone and last.
const ALL_ERRORS: &str = "States.ALL";

impl<'t> Checker<'t> {
    /// `Retry` and `Catch` of a state.
    pub(super) fn error_handling(
        &mut self,
        fields: &Fields<'t>,
        language: QueryLanguage,
    ) -> (Vec<Retrier>, Vec<Catcher>) {
        let retriers = self.array(fields, "Retry").unwrap_or_default();
        let mut retry = Vec::with_capacity(retriers.len());
        for (index, node) in retriers.iter().enumerate() {
            let last = index + 1 == retriers.len();
            retry.extend(self.below(&Step::Item("Retry", index), |checker| checker.retrier(node, last)));
        }
        let catchers = self.array(fields, "Catch").unwrap_or_default();
        let mut catch = Vec::with_capacity(catchers.len());
        for (index, node) in catchers.iter().enumerate() {
            let last = index + 1 == catchers.len();
            catch.extend(self.below(&Step::Item("Catch", index), |checker| checker.catcher(node, last, language)));
        }
        (retry, catch)
    }

    fn retrier(&mut self, node: &'t Node, last: bool) -> Option<Retrier> {
        let fields = self.object(node)?;
        self.only(&fields, fields::RETRIER, QueryLanguage::JsonPath);
        self.required(&fields, &["ErrorEquals"]);
        self.string(&fields, "Comment");
        let error_equals = self.error_equals(&fields, last);
        // Measured: an interval of 0 is accepted although the documentation says 1.
        let interval_seconds = self.integer(&fields, "IntervalSeconds", 0, number_limits::MAX_SECONDS).unwrap_or(1);
        let max_attempts = self.integer(&fields, "MaxAttempts", 0, number_limits::MAX_SECONDS).unwrap_or(3);
        let backoff_rate = self.float(&fields, "BackoffRate", 1.0, f64::MAX).unwrap_or(2.0);
        let max_delay_seconds = self.integer(&fields, "MaxDelaySeconds", 1, number_limits::MAX_DELAY_SECONDS);
        if let Some(max_delay) = max_delay_seconds.filter(|&max_delay| max_delay < interval_seconds) {
            let message = format!(
                "MaxDelaySeconds ({max_delay}) should not be smaller than IntervalSeconds ({interval_seconds})"
            );
            self.invalid(message, node);
        }
        let full_jitter = self.one_of(&fields, "JitterStrategy", &["NONE", "FULL"]) == Some("FULL");
        Some(Retrier { error_equals, interval_seconds, max_attempts, backoff_rate, max_delay_seconds, full_jitter })
    }

    fn catcher(&mut self, node: &'t Node, last: bool, language: QueryLanguage) -> Option<Catcher> {
        let Some(fields) = self.object(node) else {
            self.unclear();
            return None;
        };
        self.only(&fields, fields::CATCHER, language);
        self.required(&fields, &["ErrorEquals", "Next"]);
        self.string(&fields, "Comment");
        let error_equals = self.error_equals(&fields, last);
        let (result_path, assign, jsonata) = match language {
            QueryLanguage::JsonPath => (self.result_path(&fields), self.assign(&fields), JsonataFields::default()),
            QueryLanguage::Jsonata => (ResultPath::Replace, None, self.jsonata_fields(&fields, Members::ERROR_OUTPUT)),
        };
        let next = self.target(&fields, "Next")?;
        Some(Catcher { error_equals, next, result_path, assign, jsonata })
    }

    fn error_equals(&mut self, fields: &Fields<'t>, last: bool) -> Vec<Arc<str>> {
        let items = self.filled_array(fields, "ErrorEquals").unwrap_or_default();
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if let Some(name) = item.as_str() {
                names.push(Arc::from(name));
            } else {
                self.below(&Step::Item("ErrorEquals", index), |checker| {
                    checker.invalid("Expected value of type String", item);
                });
            }
        }
        if names.iter().any(|name: &Arc<str>| &**name == ALL_ERRORS) && (!last || items.len() > 1) {
            let node = fields.get("ErrorEquals").unwrap_or(fields.node);
            self.invalid_member("ErrorEquals", "States.ALL must appear alone and at end of list", node);
        }
        names
    }
}
