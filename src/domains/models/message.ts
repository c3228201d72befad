import type { AssistantModelMessage, JSONValue, ModelMessage } from 'ai';

/**
 * One message of a conversation. Assistant messages are the provider's own and are kept whole, because providers want
 * parts of them back unchanged (signed reasoning); only this domain looks inside.
 */
export type Message = ModelMessage;
export type AssistantMessage = AssistantModelMessage;
export type Json = JSONValue;

export type ToolCall = {
  id: string;
  name: string;
  /** As the model gave it, not yet validated; an empty object where it was not JSON. */
  input: Json;
};

export type ToolResult = { callId: string; name: string; output: Json };

export const userMessage = (text: string): Message => ({ role: 'user', content: text });

export const toolResults = (results: readonly ToolResult[]): Message => ({
  role: 'tool',
  content: results.map(({ callId, name, output }) => ({
    type: 'tool-result',
    toolCallId: callId,
    toolName: name,
    output: { type: 'json', value: output },
  })),
});

/** The text of a message. */
export function textOf({ content }: Message): string {
  if (typeof content === 'string') return content;
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('');
}

/** The tools that a reply wants run, in its order. */
export function toolCallsIn({ content }: AssistantMessage): ToolCall[] {
  if (typeof content === 'string') return [];
  return content.flatMap((part) =>
    part.type === 'tool-call' ? [{ id: part.toolCallId, name: part.toolName, input: (part.input ?? {}) as Json }] : [],
  );
}

/** What the tools have answered so far, oldest first. */
export const outputsIn = (messages: readonly Message[]): Json[] =>
  messages.flatMap((message) =>
    message.role !== 'tool'
      ? []
      : message.content.flatMap((part) =>
          part.type === 'tool-result' && part.output.type === 'json' ? [part.output.value] : [],
        ),
  );
