//! AWS services' actions that HTTP APIs call by name (AWS: 'Integration subtype reference').

use std::collections::BTreeMap;

/// Name, parameters that have to be there, and those that may.
type Subtype = (&'static str, &'static [&'static str], &'static [&'static str]);

const SUBTYPES: [Subtype; 10] = [
    (
        "EventBridge-PutEvents",
        &["Detail", "DetailType", "Source"],
        &["Time", "EventBusName", "Resources", "Region", "TraceHeader"],
    ),
    (
        "SQS-SendMessage",
        &["QueueUrl", "MessageBody"],
        &[
            "DelaySeconds",
            "MessageAttributes",
            "MessageDeduplicationId",
            "MessageGroupId",
            "MessageSystemAttributes",
            "Region",
        ],
    ),
    (
        "SQS-ReceiveMessage",
        &["QueueUrl"],
        &[
            "AttributeNames",
            "MaxNumberOfMessages",
            "MessageAttributeNames",
            "ReceiveRequestAttemptId",
            "VisibilityTimeout",
            "WaitTimeSeconds",
            "Region",
        ],
    ),
    ("SQS-DeleteMessage", &["ReceiptHandle", "QueueUrl"], &["Region"]),
    ("SQS-PurgeQueue", &["QueueUrl"], &["Region"]),
    (
        "AppConfig-GetConfiguration",
        &["Application", "Environment", "Configuration", "ClientId"],
        &["ClientConfigurationVersion", "Region"],
    ),
    (
        "Kinesis-PutRecord",
        &["StreamName", "Data", "PartitionKey"],
        &["SequenceNumberForOrdering", "ExplicitHashKey", "Region"],
    ),
    ("StepFunctions-StartExecution", &["StateMachineArn"], &["Name", "Input", "Region"]),
    ("StepFunctions-StartSyncExecution", &["StateMachineArn"], &["Name", "Input", "Region", "TraceHeader"]),
    ("StepFunctions-StopExecution", &["ExecutionArn"], &["Cause", "Error", "Region"]),
];

/// # Errors
/// When there is no such subtype, or it doesn't take these parameters.
pub fn check_subtype(name: &str, parameters: &BTreeMap<String, String>) -> Result<(), String> {
    let found = SUBTYPES.iter().find(|(subtype, _, _)| *subtype == name);
    let (_, required, optional) = found.ok_or_else(|| {
        let names = SUBTYPES.map(|(subtype, _, _)| subtype).join(", ");
        format!("Invalid integrationSubtype '{name}': it has to be one of {names}")
    })?;
    let missing: Vec<&str> =
        required.iter().copied().filter(|name| !parameters.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(format!("{name} requires the requestParameters {}", missing.join(", ")));
    }
    let known = |key: &str| required.contains(&key) || optional.contains(&key);
    match parameters.keys().find(|key| !known(key)) {
        None => Ok(()),
        Some(key) => Err(format!("{name} has no request parameter '{key}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_action() {
        let with = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect();
        assert_eq!(check_subtype("SQS-SendMessage", &with(&["QueueUrl", "MessageBody", "Region"])), Ok(()));
        for (name, keys, expected) in [
            ("SQS-Send", &["QueueUrl"][..], "has to be one of EventBridge-PutEvents"),
            ("SQS-SendMessage", &["QueueUrl"], "requires the requestParameters MessageBody"),
            ("SQS-PurgeQueue", &["QueueUrl", "Body"], "has no request parameter 'Body'"),
        ] {
            let error = check_subtype(name, &with(keys)).expect_err(name);
            assert!(error.contains(expected), "{error}");
        }
    }
}
