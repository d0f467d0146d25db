// A real, tiny language model behind POST /v1/chat/completions, plain and streamed, on a free loopback port. Schemas are
// enforced by a grammar, tokens are counted by the model's own tokenizer. One call at a time.
import http from "node:http";
import { getLlama, LlamaCompletion, LlamaLogLevel } from "node-llama-cpp";

const CONTEXT = 4096;
const LONGEST_BODY = 4_000_000;
const threads = Number(process.env.TINY_MODEL_THREADS ?? 1);

const llama = await getLlama({ gpu: false, maxThreads: threads, build: "never", progressLogs: false, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: process.argv[2] });
const context = await model.createContext({ contextSize: CONTEXT, threads });
const sequence = context.getSequence();
const completion = new LlamaCompletion({ contextSequence: sequence });

const words = (content) => (typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join(""));

/** Gemma knows two speakers; the system text stands before the first user's. */
function conversation(messages) {
  const told = messages.filter((m) => m.role === "system" || m.role === "developer").map((m) => words(m.content) + "\n\n").join("");
  const turns = messages.filter((m) => m.role === "user" || m.role === "assistant");
  const turn = (m, at) => `<start_of_turn>${m.role === "user" ? "user" : "model"}\n${at === 0 ? told : ""}${words(m.content)}<end_of_turn>\n`;
  return turns.map(turn).join("") + "<start_of_turn>model\n";
}

async function answer(request, response) {
  const format = request.response_format ?? { type: "text" };
  const grammar = format.type === "json_schema" ? await llama.createGrammarForJsonSchema(format.json_schema.schema) : undefined;
  const input = model.tokenize(conversation(request.messages), true);
  const room = CONTEXT - input.length - 8;
  if (room < 1) return refuse(response, 400, "context_length_exceeded");
  const head = { id: `chatcmpl-${Date.now()}`, created: Math.floor(Date.now() / 1000), model: request.model };
  const send = (choices, more = {}) =>
    response.write(`data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices, ...more })}\n\n`);
  const gone = new AbortController();
  response.on("close", () => response.writableEnded || gone.abort());
  if (request.stream) response.writeHead(200, { "content-type": "text/event-stream" });
  let output = 0;
  await sequence.clearHistory();
  const made = await completion.generateCompletionWithMeta(input, {
    maxTokens: Math.min(request.max_completion_tokens ?? request.max_tokens ?? 256, room),
    temperature: request.temperature ?? 0,
    // Small models go round in circles otherwise.
    repeatPenalty: { penalty: 1.15, lastTokens: 128 },
    grammar,
    customStopTriggers: ["<end_of_turn>", "<start_of_turn>"],
    signal: gone.signal,
    stopOnAbortSignal: true,
    onToken: (tokens) => (output += tokens.length),
    onTextChunk: (content) => request.stream && send([{ index: 0, delta: { content }, finish_reason: null }]),
  });
  const finish_reason = made.metadata.stopReason === "maxTokens" ? "length" : "stop";
  const usage = { prompt_tokens: input.length, completion_tokens: output, total_tokens: input.length + output };
  if (request.stream) {
    send([{ index: 0, delta: {}, finish_reason }]);
    if (request.stream_options?.include_usage) send([], { usage });
    return response.end("data: [DONE]\n\n");
  }
  const message = { role: "assistant", content: made.response, refusal: null };
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ ...head, object: "chat.completion", choices: [{ index: 0, message, finish_reason }], usage }));
}

function refuse(response, status, code) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { message: code, type: "invalid_request_error", param: null, code } }));
}

let last = Promise.resolve();
const server = http.createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/v1/chat/completions") return refuse(response, 404, "not_found");
  let body = "";
  request.on("data", (data) => (body += data).length > LONGEST_BODY && request.destroy());
  request.on("end", () => {
    last = last.then(() => answer(JSON.parse(body), response)).catch((error) => {
      console.error(error);
      refuse(response, 500, "server_error");
    });
  });
});
server.listen(0, "127.0.0.1", () => console.log(`ready http://127.0.0.1:${server.address().port}/v1`));
process.on("SIGTERM", () => process.exit(0));
