//! Amazon Bedrock's Converse, plain and streamed, over `aws-sdk-bedrockruntime`.

use std::{borrow::Cow, time::Duration};

use async_trait::async_trait;
use aws_sdk_bedrockruntime::{
    Client,
    config::{Builder, Config, Token, timeout::TimeoutConfig},
    error::BuildError,
    types::{
        ContentBlock, ConversationRole, InferenceConfiguration, JsonSchemaDefinition, Message, OutputConfig,
        OutputFormat, OutputFormatStructure, OutputFormatType, ServiceTier, ServiceTierType,
        SystemContentBlock, ToolConfiguration,
    },
};
use secrecy::ExposeSecret as _;
use tokio::sync::OnceCell;

use crate::{
    config::{ProviderSettings, SchemaSupport},
    llm::{
        contract::{AnswerShape, CallError, Completion, Pieces, Provider, Rejection, Request, Role},
        vendors::{
            bedrock_answer::{self, Place},
            bedrock_client, bedrock_error,
            bedrock_handover::Handover,
            bedrock_stream, bedrock_tool,
            patience::Patience,
            portable_schema::portable,
            schema_words::system,
        },
    },
};

/// Name lookup, TCP and TLS together, as for all other calls.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One region, or one endpoint, with its key.
#[derive(Debug)]
pub struct Bedrock {
    settings: ProviderSettings,
    client: OnceCell<Client>,
}

impl Bedrock {
    /// Nothing is looked for yet: credentials and region are found with the first call.
    #[must_use]
    pub fn new(settings: &ProviderSettings) -> Self {
        Self { settings: settings.clone(), client: OnceCell::new() }
    }

    /// What is set anew for each call: its time-outs, and the key as it is now.
    fn overrides(&self, request: &Request) -> Result<Builder, CallError> {
        // Of a stream this counts until its answer begins; `bedrock_stream` watches what follows.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(request.timeout))
            .operation_attempt_timeout(request.timeout)
            .build();
        let overrides = Config::builder().timeout_config(timeouts);
        let Some(key) = &self.settings.api_key else { return Ok(overrides) };
        let key = key.read().map_err(|error| CallError::NoKey(error.to_string()))?;
        Ok(overrides.bearer_token(Token::new(key.expose_secret(), None)))
    }

    async fn plain(&self, client: &Client, asked: Asked, request: &Request) -> Result<Completion, CallError> {
        let (handover, place) = (Handover::default(), asked.place());
        let call = client
            .converse()
            .model_id(&request.model)
            .set_messages(Some(asked.messages))
            .set_system(asked.system)
            .inference_config(asked.inference)
            .set_output_config(asked.output)
            .set_tool_config(asked.tool)
            .set_service_tier(asked.tier)
            .customize()
            .config_override(self.overrides(request)?)
            .interceptor(handover.clone());
        let answer =
            call.send().await.map_err(|error| bedrock_error::of_call(&error, handover.happened()))?;
        Ok(bedrock_answer::read(&answer, place, request))
    }

    async fn streamed(
        &self,
        client: &Client,
        asked: Asked,
        request: &Request,
        pieces: &Pieces,
        patience: Patience,
    ) -> Result<Completion, CallError> {
        let (handover, place) = (Handover::default(), asked.place());
        let call = client
            .converse_stream()
            .model_id(&request.model)
            .set_messages(Some(asked.messages))
            .set_system(asked.system)
            .inference_config(asked.inference)
            .set_output_config(asked.output)
            .set_tool_config(asked.tool)
            .set_service_tier(asked.tier)
            .customize()
            .config_override(self.overrides(request)?)
            .interceptor(handover.clone());
        let answer =
            call.send().await.map_err(|error| bedrock_error::of_call(&error, handover.happened()))?;
        bedrock_stream::read(answer, place, request, pieces, patience).await
    }
}

#[async_trait]
impl Provider for Bedrock {
    async fn complete(&self, request: &Request) -> Result<Completion, CallError> {
        let client = self.client.get_or_init(|| bedrock_client::connect(&self.settings)).await;
        let asked = Asked::of(request, self.settings.schema).map_err(|error| {
            let detail = format!("the question cannot be put into Bedrock's form: {error}");
            CallError::Rejected { class: Rejection::Permanent, detail, wait: None }
        })?;
        let patience = Patience::begin(request);
        // The SDK's futures are large.
        match &request.stream {
            None => Box::pin(self.plain(client, asked, request)).await,
            Some(pieces) => Box::pin(self.streamed(client, asked, request, pieces, patience)).await,
        }
    }
}

/// A question in Bedrock's words.
struct Asked {
    messages: Vec<Message>,
    system: Option<Vec<SystemContentBlock>>,
    inference: InferenceConfiguration,
    output: Option<OutputConfig>,
    tool: Option<ToolConfiguration>,
    tier: Option<ServiceTier>,
}

impl Asked {
    fn of(request: &Request, support: SchemaSupport) -> Result<Self, BuildError> {
        let by_tool = support == SchemaSupport::JsonObject;
        let turn = |role, text: &str| {
            Message::builder().role(role).content(ContentBlock::Text(text.to_owned())).build()
        };
        let messages = request.turns.iter().map(|said| match said.role {
            Role::User => turn(ConversationRole::User, &said.text),
            Role::Assistant => turn(ConversationRole::Assistant, &said.text),
        });
        let told = if by_tool { Cow::Borrowed(request.system.as_str()) } else { system(request, support) };
        let system = (!told.is_empty()).then(|| vec![SystemContentBlock::Text(told.into_owned())]);
        // Where it is not told, all of the model's maximum is held against the quota.
        let inference = InferenceConfiguration::builder()
            .max_tokens(i32::try_from(request.max_output).unwrap_or(i32::MAX))
            .set_temperature(request.temperature.map(|temperature| temperature as f32));
        let tier = |name: &str| ServiceTier::builder().r#type(ServiceTierType::from(name)).build();
        Ok(Self {
            messages: messages.collect::<Result<_, _>>()?,
            system,
            inference: inference.build(),
            output: output(request, support)?,
            tool: if by_tool { tool(request)? } else { None },
            tier: request.service_tier.as_deref().map(tier).transpose()?,
        })
    }

    fn place(&self) -> Place {
        if self.tool.is_some() { Place::Tool } else { Place::Text }
    }
}

fn tool(request: &Request) -> Result<Option<ToolConfiguration>, BuildError> {
    match &request.answer {
        AnswerShape::Text => Ok(None),
        AnswerShape::Json { name, schema } => bedrock_tool::forced(name, &portable(schema)).map(Some),
    }
}

/// The shape of the answer, the schema as a text, and how hard the model thinks.
fn output(request: &Request, support: SchemaSupport) -> Result<Option<OutputConfig>, BuildError> {
    let format = match &request.answer {
        AnswerShape::Json { name, schema } if support == SchemaSupport::JsonSchema => {
            let schema =
                JsonSchemaDefinition::builder().name(name).schema(portable(schema).to_string()).build()?;
            let format = OutputFormat::builder().r#type(OutputFormatType::JsonSchema);
            Some(format.structure(OutputFormatStructure::JsonSchema(schema)).build()?)
        }
        AnswerShape::Text | AnswerShape::Json { .. } => None,
    };
    let wanted = format.is_some() || request.reasoning_effort.is_some();
    let output = OutputConfig::builder().set_text_format(format).set_effort(request.reasoning_effort.clone());
    Ok(wanted.then(|| output.build()))
}
