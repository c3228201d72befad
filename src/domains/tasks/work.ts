import type { Op } from '../../kernel/op.ts';
import { affordableOutput, type Json, type Model, type ToolCall } from '../models/index.ts';
import { conversation, inputTokens } from './conversation.ts';
import { inferenceLeft, secondsBegun } from './cost.ts';
import { plan, storable } from './plan.ts';
import { keepProgress } from './progress.ts';
import { SYSTEM_PROMPT } from './prompt.ts';
import { haltedBy, workOp, type Run, type RunDeps, type Stop } from './run.ts';
import type { ModelReply, ToolStep } from './step.ts';
import { beginStep, endModelStep, endToolStep } from './step-store.ts';
import { endingAt, ENDINGS, firstLimit, workedMs } from './task.ts';
import { TOOLS } from './tools.ts';
import { answerAtOnce, useTool, type Answer, type ToolOutcome } from './use-tool.ts';

/** Output tokens that one call may have at the most, and the fewest with which it is worth making. */
const MAX_OUTPUT_TOKENS = 16_384;
const MIN_OUTPUT_TOKENS = 256;
/** Machine time that is set aside before each model call, so that the call cannot eat it. */
const SECONDS_AHEAD = 60;

/** The agent loop: plans the next step from the recorded ones and carries it out, until the plan is at its end. */
export async function work(deps: RunDeps, run: Run): Promise<Stop> {
  for (;;) {
    const stop = stopNow(deps, run);
    if (stop) return stop;
    const next = plan(run.steps);
    if (next.kind === 'end') return next.ending;
    const stopped = next.kind === 'ask' ? await ask(deps, run) : await use(deps, run, next.call);
    if (stopped) return stopped;
  }
}

function stopNow(deps: RunDeps, run: Run): Stop | undefined {
  if (run.halt.signal.aborted) return haltedBy(run);
  const limit = firstLimit(run.task);
  if (workedMs(run.task, deps.clock.now()) >= limit.atMs) return endingAt(limit, run.task);
  return run.mode === 'leaving' ? 'gone' : undefined;
}

/** Has the model say what comes next, if the budget covers the dearest answer that it could give. */
async function ask(deps: RunDeps, run: Run): Promise<Stop | undefined> {
  const model = deps.models.find(run.task.modelSlug);
  if (!model) return ENDINGS.executionError(`The model ${run.task.modelSlug} is not available any more`);
  const messages = conversation(run.task.prompt, run.steps, model);
  const maxOutputTokens = outputTokens(deps, run, model, inputTokens(messages, run.steps));
  if (maxOutputTokens === undefined) return ENDINGS.outOfBudget();
  const op = workOp(deps, run);
  const step = { number: run.steps.length + 1, startedAt: op.now };
  if (!(await deps.db.transact((tx) => beginStep(tx, run.holding, step.number, op.now)))) return 'gone';
  const outcome = await deps.models.call(op, { model, system: SYSTEM_PROMPT, messages, tools: TOOLS, maxOutputTokens });
  if (!outcome.ok) {
    if (run.halt.signal.aborted) return haltedBy(run);
    deps.log.warn({ taskId: run.task.id, reason: outcome.reason, detail: outcome.detail }, 'a model call failed');
    return ENDINGS.executionError(outcome.message);
  }
  const { message, finishReason, usage, cost } = outcome;
  const reply: ModelReply = { message, finishReason, usage, cost };
  const finishedAt = deps.clock.now();
  const said = { ...reply, text: storable(outcome.text) };
  if (!(await deps.db.transact((tx) => endModelStep(tx, run.holding, step.number, finishedAt, said)))) return 'gone';
  run.steps.push({ ...step, kind: 'model', state: 'finished', finishedAt, reply });
  run.task = { ...run.task, inference: (run.task.inference + cost) as typeof cost };
  return undefined;
}

/** The output that a call may have; undefined where the budget does not cover one worth making. */
function outputTokens(
  deps: RunDeps,
  { task }: Run,
  model: Model,
  input: ReturnType<typeof inputTokens>,
): number | undefined {
  const worked = secondsBegun(workedMs(task, deps.clock.now()));
  const seconds = Math.min(worked + SECONDS_AHEAD, task.timeoutSeconds);
  const room = Math.max(MIN_OUTPUT_TOKENS, model.contextLength - input.likely);
  const wanted = Math.min(model.maxTokens, MAX_OUTPUT_TOKENS, room);
  const affordable = affordableOutput(
    model.prices,
    inferenceLeft(task.budgetCents, task.inference, seconds),
    input.atMost,
    wanted,
  );
  return affordable < Math.min(wanted, MIN_OUTPUT_TOKENS) ? undefined : affordable;
}

/** Uses a tool and keeps what it answered. What needs no machine begins and ends in one transaction. */
async function use(deps: RunDeps, run: Run, given: ToolCall): Promise<Stop | undefined> {
  const call = { ...given, id: storable(given.id), name: storable(given.name) };
  const op = workOp(deps, run);
  const step = { number: run.steps.length + 1, startedAt: op.now, call };
  const atOnce = answerAtOnce(call);
  const held = await deps.db.transact(
    async (tx) =>
      (await beginStep(tx, run.holding, step.number, op.now, call)) &&
      (!atOnce || (await endToolStep(tx, run.holding, step.number, op.now, atOnce))),
  );
  if (!held) return 'gone';
  if (atOnce) return keep(run, step, atOnce, op.now);
  const outcome = await inMachine(deps, run, op, step);
  if (outcome.kind !== 'answered') {
    await keepProgress(deps, run);
    return run.halt.signal.aborted ? haltedBy(run) : ENDINGS.machineLost();
  }
  const finishedAt = deps.clock.now();
  if (!(await deps.db.transact((tx) => endToolStep(tx, run.holding, step.number, finishedAt, outcome)))) return 'gone';
  return keep(run, step, outcome, finishedAt);
}

function keep(
  run: Run,
  step: Pick<ToolStep, 'number' | 'startedAt' | 'call'>,
  answer: Answer,
  finishedAt: Date,
): undefined {
  run.progress = undefined;
  run.steps.push({ ...step, ...answer, kind: 'tool', state: 'finished', finishedAt });
}

async function inMachine(
  { machines }: RunDeps,
  run: Run,
  op: Op,
  { number, call }: Pick<ToolStep, 'number' | 'call'>,
): Promise<ToolOutcome> {
  const { machineId } = run.task;
  if (!machineId) return { kind: 'machine_lost' };
  const watch = (look: () => Json) => {
    run.progress = { step: number, look, saved: '' };
  };
  return useTool({ machines, machineId, op, watch }, call);
}
