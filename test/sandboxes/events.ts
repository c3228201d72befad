export type Told = { event: string; data: Record<string, unknown> };

/** Reads server-sent events as a browser does, until the stream ends or `hear` answers false. */
export async function readEvents(url: string, key: string, hear: (told: Told) => boolean): Promise<void> {
  const reply = await fetch(url, { headers: { authorization: key } });
  if (reply.status !== 200 || !reply.body) throw new Error(`${reply.status}: ${await reply.text()}`);
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of reply.body) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const told = parse(block);
      // Leaving the loop lets go of the connection.
      if (told && !hear(told)) return;
    }
  }
}

function parse(block: string): Told | undefined {
  const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
  return event !== undefined && data !== undefined ? { event, data: JSON.parse(data) } : undefined;
}
