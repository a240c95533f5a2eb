//! The resources of a template: what they are called, and what `Ref` and `Fn::GetAtt` say of them.

use stepwright_asl::json::Node;

/// A resource.
#[derive(Clone, Debug)]
pub(crate) struct Resource<'d> {
    /// Its logical id.
    pub(crate) id: String,
    /// `AWS::SQS::Queue`.
    pub(crate) kind: &'d str,
    pub(crate) properties: Option<&'d Node>,
    pub(crate) metadata: Option<&'d Node>,
    pub(crate) condition: Option<&'d Node>,
    /// The node that stands for it in messages.
    pub(crate) node: Option<&'d Node>,
    /// Its name, where no property says it.
    pub(crate) given_name: Option<String>,
}

/// All resources of a template, in its order.
#[derive(Debug, Default)]
pub(crate) struct Resources<'d>(Vec<Resource<'d>>);

impl<'d> Resources<'d> {
    pub(crate) fn read(node: &'d Node) -> Self {
        let mut resources = Self::default();
        resources.add(node);
        resources
    }

    /// Adds those of the `Resources` of a template.
    pub(crate) fn add(&mut self, node: &'d Node) {
        let members = node.as_object().unwrap_or_default();
        self.0.extend(members.iter().map(|member| Resource {
            id: member.key.clone(),
            kind: member.value.get("Type").and_then(Node::as_str).unwrap_or_default(),
            properties: member.value.get("Properties"),
            metadata: member.value.get("Metadata"),
            condition: member.value.get("Condition"),
            node: Some(&member.value),
            given_name: None,
        }));
    }

    /// Adds one that is declared in another way.
    pub(crate) fn add_named(&mut self, id: String, kind: &'static str, name: String) {
        let given_name = Some(name);
        self.0.push(Resource { id, kind, properties: None, metadata: None, condition: None, node: None, given_name });
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Resource<'d>> {
        self.0.iter().find(|resource| resource.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Resource<'d>> {
        self.0.iter()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|resource| resource.id.as_str())
    }
}

/// What `Ref` says of a resource.
enum Reference {
    Name,
    Arn,
    Url,
}

/// How the resources of a type are called: the property of the name, what `Ref` says, and the end of the ARN.
struct Shape(&'static str, Reference, &'static str);

/// The end of an ARN, from the service on; `{r}`: region, `{a}`: account, `{n}`: name.
fn shape(kind: &str) -> Option<Shape> {
    use Reference::{Arn, Name, Url};
    Some(match kind {
        "AWS::Lambda::Function" | "AWS::Serverless::Function" => {
            Shape("FunctionName", Name, "lambda:{r}:{a}:function:{n}")
        }
        "AWS::StepFunctions::StateMachine" => Shape("StateMachineName", Arn, "states:{r}:{a}:stateMachine:{n}"),
        "AWS::Serverless::StateMachine" => Shape("Name", Arn, "states:{r}:{a}:stateMachine:{n}"),
        "AWS::StepFunctions::Activity" => Shape("Name", Arn, "states:{r}:{a}:activity:{n}"),
        "AWS::SQS::Queue" => Shape("QueueName", Url, "sqs:{r}:{a}:{n}"),
        "AWS::SNS::Topic" => Shape("TopicName", Arn, "sns:{r}:{a}:{n}"),
        "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" | "AWS::Serverless::SimpleTable" => {
            Shape("TableName", Name, "dynamodb:{r}:{a}:table/{n}")
        }
        "AWS::S3::Bucket" => Shape("BucketName", Name, "s3:::{n}"),
        "AWS::Events::EventBus" => Shape("Name", Name, "events:{r}:{a}:event-bus/{n}"),
        "AWS::Events::Rule" => Shape("Name", Name, "events:{r}:{a}:rule/{n}"),
        "AWS::IAM::Role" => Shape("RoleName", Name, "iam::{a}:role/{n}"),
        "AWS::ECS::Cluster" => Shape("ClusterName", Name, "ecs:{r}:{a}:cluster/{n}"),
        "AWS::ECS::TaskDefinition" => Shape("Family", Arn, "ecs:{r}:{a}:task-definition/{n}:1"),
        "AWS::Batch::JobQueue" => Shape("JobQueueName", Arn, "batch:{r}:{a}:job-queue/{n}"),
        "AWS::Batch::JobDefinition" => Shape("JobDefinitionName", Arn, "batch:{r}:{a}:job-definition/{n}:1"),
        "AWS::Glue::Job" => Shape("Name", Name, "glue:{r}:{a}:job/{n}"),
        "AWS::Logs::LogGroup" => Shape("LogGroupName", Name, "logs:{r}:{a}:log-group:{n}:*"),
        "AWS::SecretsManager::Secret" => Shape("Name", Arn, "secretsmanager:{r}:{a}:secret:{n}"),
        "AWS::SSM::Parameter" => Shape("Name", Name, "ssm:{r}:{a}:parameter/{n}"),
        "AWS::KMS::Key" => Shape("", Name, "kms:{r}:{a}:key/{n}"),
        "AWS::Kinesis::Stream" => Shape("Name", Name, "kinesis:{r}:{a}:stream/{n}"),
        _ => return None,
    })
}

/// Where resources are.
pub(crate) struct Place<'a> {
    pub(crate) partition: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
}

impl Resource<'_> {
    /// The property that names it.
    pub(crate) fn name_property(&self) -> Option<&Node> {
        let property = shape(self.kind).map_or("Name", |Shape(property, ..)| property);
        self.properties?.get(property)
    }

    /// The name that it has where no property says one.
    pub(crate) fn default_name(&self) -> String {
        match &self.given_name {
            Some(name) => name.clone(),
            // Buckets have no capitals.
            None if self.kind == "AWS::S3::Bucket" => self.id.to_ascii_lowercase(),
            None => self.id.clone(),
        }
    }

    fn arn(&self, name: &str, place: &Place<'_>) -> String {
        let Place { partition, region, account } = place;
        let end = match shape(self.kind) {
            Some(Shape(_, _, end)) => end.replace("{r}", region).replace("{a}", account).replace("{n}", name),
            None => {
                let mut parts = self.kind.split("::").skip(1).map(str::to_ascii_lowercase);
                let (service, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                format!("{service}:{region}:{account}:{kind}/{name}")
            }
        };
        format!("arn:{partition}:{end}")
    }

    fn url(name: &str, place: &Place<'_>) -> String {
        format!("https://sqs.{}.amazonaws.com/{}/{name}", place.region, place.account)
    }

    /// `Ref`.
    pub(crate) fn reference(&self, name: &str, place: &Place<'_>) -> String {
        match shape(self.kind) {
            Some(Shape(_, Reference::Arn, _)) => self.arn(name, place),
            Some(Shape(_, Reference::Url, _)) => Self::url(name, place),
            Some(Shape(_, Reference::Name, _)) | None => name.to_owned(),
        }
    }

    /// `Fn::GetAtt`; none: it has no such attribute that could be known here.
    pub(crate) fn attribute(&self, attribute: &str, name: &str, place: &Place<'_>) -> Option<String> {
        Some(match attribute {
            "Arn" | "TopicArn" | "JobQueueArn" | "JobDefinitionArn" | "TaskDefinitionArn" | "StateMachineArn" => {
                self.arn(name, place)
            }
            "Name" | "QueueName" | "TopicName" | "FunctionName" | "TableName" | "BucketName" | "RoleName" | "Id" => {
                name.to_owned()
            }
            "QueueUrl" => Self::url(name, place),
            "StreamArn" => format!("{}/stream/2000-01-01T00:00:00.000", self.arn(name, place)),
            "DomainName" if self.kind == "AWS::S3::Bucket" => format!("{name}.s3.amazonaws.com"),
            "StateMachineRevisionId" => "INITIAL".to_owned(),
            _ => return None,
        })
    }
}
