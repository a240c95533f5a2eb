//! Map states: the processor, the items and the concurrency. The fields of distributed mode are checked beside this.

use stepwright_querylang::jsonata::{Members, StatesTemplate};

use super::data::Roots;
use super::fields::{self, Fields};
use super::jsonata::is_marked;
use super::number::processor;
use super::{Checker, Context, Step, number_limits};
use crate::MachineType;
use crate::definition::{FlowId, Map, MapMode, QueryLanguage};
use crate::json::NodeValue;

impl<'t> Checker<'t> {
    /// The fields of a Map state.
    pub(super) fn map(&mut self, fields: &Fields<'t>, context: Context) -> Option<Map> {
        let jsonata = context.language == QueryLanguage::Jsonata;
        let (mode, processor) = self.processor(fields, context)?;
        let items_path = if fields.has("ItemsPath") && !fields.has("ItemReader") {
            self.reference_path(fields, "ItemsPath", Roots::All)
        } else {
            // With a reader the service ignores ItemsPath completely, even an invalid one.
            None
        };
        let item_selector = if jsonata { None } else { self.item_selector(fields) };
        let (items_jsonata, item_selector_jsonata) = if jsonata {
            (self.items(fields), self.jsonata(fields, "ItemSelector", Members::INPUT))
        } else {
            (None, None)
        };
        let path = Some(("MaxConcurrencyPath", Roots::InputAndVariables));
        let range = 0..=number_limits::NONE;
        let max_concurrency = self.number_field(fields, "MaxConcurrency", path, range, context.language);
        let (distributed, run) = self.distributed(fields, mode, context.language);
        let (retry, catch) = self.error_handling(fields, context.language);
        let transition = self.transition(fields)?;
        Some(Map {
            processor: processor?,
            mode,
            items_path,
            items_jsonata,
            item_selector,
            item_selector_jsonata,
            max_concurrency,
            distributed,
            run,
            retry,
            catch,
            transition,
        })
    }

    /// The processor: its mode, and its flow if that has a number. None if the mode cannot be known.
    fn processor(&mut self, fields: &Fields<'t>, context: Context) -> Option<(MapMode, Option<FlowId>)> {
        if !self.exactly_one(fields, &["ItemProcessor", "Iterator"]) && processor(fields.node).is_none() {
            self.transition(fields);
            return None;
        }
        let name = if fields.has("ItemProcessor") { "ItemProcessor" } else { "Iterator" };
        let Some(inner) = self.object_member(fields, name) else {
            self.transition(fields);
            return None;
        };
        let id = self.numbering.flow_of(inner.node);
        let mode = self.below(&Step::Member(name), |checker| {
            checker.only(&inner, fields::PROCESSOR, QueryLanguage::JsonPath);
            checker.required(&inner, &["States", "StartAt"]);
            checker.string(&inner, "Comment");
            let mode = checker.processor_config(&inner);
            if let Some(id) = id {
                // A child execution of a distributed map sees no variables of its parent.
                let scope = (mode != MapMode::Inline).then(|| std::mem::take(&mut checker.scope));
                let workflow = checker.workflow;
                if mode == MapMode::DistributedExpress {
                    checker.workflow = MachineType::Express;
                }
                checker.flow(&inner, id, Some(context.id));
                checker.workflow = workflow;
                if let Some(scope) = scope {
                    checker.scope = scope;
                }
            }
            mode
        });
        Some((mode, id))
    }

    fn processor_config(&mut self, processor: &Fields<'t>) -> MapMode {
        let Some(config) = self.object_member(processor, "ProcessorConfig") else { return MapMode::Inline };
        self.below(&Step::Member("ProcessorConfig"), |checker| {
            let distributed = checker.one_of(&config, "Mode", &["INLINE", "DISTRIBUTED"]) == Some("DISTRIBUTED");
            // ExecutionType belongs to distributed mode.
            let allowed = if distributed { fields::PROCESSOR_CONFIG } else { &fields::PROCESSOR_CONFIG[..1] };
            checker.only(&config, allowed, QueryLanguage::JsonPath);
            if !distributed {
                return MapMode::Inline;
            }
            if checker.workflow == MachineType::Express {
                checker.invalid_member(
                    "Mode",
                    "The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS' state machines",
                    config.get("Mode").unwrap_or(config.node),
                );
            }
            checker.required(&config, &["ExecutionType"]);
            match checker.one_of(&config, "ExecutionType", &["STANDARD", "EXPRESS"]) {
                Some("EXPRESS") => MapMode::DistributedExpress,
                _ => MapMode::DistributedStandard,
            }
        })
    }

    /// `ItemSelector`, or `Parameters`, its old name.
    fn item_selector(&mut self, fields: &Fields<'t>) -> Option<stepwright_querylang::Template> {
        self.at_most_one(fields, &["ItemSelector", "Parameters"]);
        let name = if fields.has("ItemSelector") { "ItemSelector" } else { "Parameters" };
        self.template(fields, name)
    }

    /// JSONata `Items`: an array, an object, or one expression.
    fn items(&mut self, fields: &Fields<'t>) -> Option<StatesTemplate> {
        let node = fields.get("Items")?;
        let fits = match &node.value {
            NodeValue::Array(_) | NodeValue::Object(_) => true,
            NodeValue::String(text) => is_marked(text),
            _ => false,
        };
        if !fits {
            self.invalid_member("Items", "Expected value of type Array", node);
        }
        self.jsonata(fields, "Items", Members::INPUT)
    }
}
