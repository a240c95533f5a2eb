//! The rules, by the codes that findings carry. A code is an interface: people write it into their configuration.

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $summary:literal;)*) => {
        /// What a finding is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $summary] $variant,)*
        }

        impl Rule {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code: `RULE_NEVER_USED`.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What it finds, in one line.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)*
                }
            }
        }
    };
}

rules! {
    StateNeverReached = "STATE_NEVER_REACHED", "A state that only transitions lead to which never happen.";
    FlowNeverEnds = "FLOW_NEVER_ENDS", "States from which no way leads to an end.";

    ConditionNeverHolds = "CONDITION_NEVER_HOLDS", "A rule of a Choice whose condition contradicts itself.";
    RuleNeverUsed = "RULE_NEVER_USED", "A rule of a Choice behind rules that already match all that it could.";
    DefaultNeverUsed = "DEFAULT_NEVER_USED", "A `Default` behind rules of which one always matches.";
    ChoiceWithoutDefault = "CHOICE_WITHOUT_DEFAULT", "A Choice without `Default` whose rules may all fail to match.";

    RetryNeverUsed = "RETRY_NEVER_USED", "A retrier all of whose errors are already another's, or are never raised.";
    CatchNeverUsed = "CATCH_NEVER_USED", "A catcher all of whose errors are already another's, or are never raised.";
    ErrorAlreadyHandled = "ERROR_ALREADY_HANDLED", "An error name that an earlier name in the field covers.";
    ErrorNeverCaught = "ERROR_NEVER_CAUGHT", "An error name that no retrier and no catcher ever matches.";
    ErrorNeverRaised = "ERROR_NEVER_RAISED", "An error name that this state cannot fail with.";
    UnknownErrorName = "UNKNOWN_ERROR_NAME", "An error name that begins with `States.` and is none of the language's.";
    RetryDelayGrows = "RETRY_DELAY_GROWS", "A retrier whose delay grows beyond a day and has no `MaxDelaySeconds`.";

    TaskWithoutTimeout = "TASK_WITHOUT_TIMEOUT", "A job, callback or activity that may wait for a year.";
    TaskWithoutErrorHandling = "TASK_WITHOUT_ERROR_HANDLING", "A job, callback or activity without `Retry` and `Catch`.";
    LambdaWithoutRetry = "LAMBDA_WITHOUT_RETRY", "A Lambda function that is not called again after Lambda's own faults.";
    CallbackWithoutToken = "CALLBACK_WITHOUT_TOKEN", "A `.waitForTaskToken` task that gives nobody its token.";

    ResultReplacesInput = "RESULT_REPLACES_INPUT", "A result that replaces an input of which the next state reads a field.";
    CatchReplacesInput = "CATCH_REPLACES_INPUT", "An error that replaces an input of which its handler reads a field.";
    InputCopied = "INPUT_COPIED", "A whole input that every item or branch carries along.";
    ResultWithMetadata = "RESULT_WITH_METADATA", "The metadata of a Lambda call that become part of the data.";
    ResultMayBeTooLarge = "RESULT_MAY_BE_TOO_LARGE", "A result of any size, of which nothing is selected.";
    ConcurrencyWithoutEffect = "CONCURRENCY_WITHOUT_EFFECT", "A concurrency that an inline Map never has.";

    VariableNeverRead = "VARIABLE_NEVER_READ", "A variable that is assigned and read by no state that sees it.";
    VariableNeverAssigned = "VARIABLE_NEVER_ASSIGNED", "A variable that is read and that no state which it can see assigns.";

    WaitInThePast = "WAIT_IN_THE_PAST", "A Wait until a time that is over.";
    WaitBeyondTheEnd = "WAIT_BEYOND_THE_END", "A Wait that is longer than the execution may take.";
    TimeoutBeyondTheEnd = "TIMEOUT_BEYOND_THE_END", "A time-out that is longer than the execution may take.";
}
