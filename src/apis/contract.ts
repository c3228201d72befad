import type { Readable } from 'node:stream';
import type { z } from 'zod';
import type { AppError, Code } from '../kernel/errors.ts';
import type { AccountOp, Actor, Op, Scope } from '../kernel/op.ts';
import type { Channel } from '../platform/websocket.ts';

/**
 * The typed route table. Each API folder declares its routes with `route`; the same table validates requests, answers
 * them, and is the OpenAPI document.
 *
 * Who may call a route: anybody; an account with its key; the operator with the admin key; the operator, or a
 * program on the server's own host.
 */
export type Access = 'public' | 'account' | 'admin' | 'operator';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A body that is a `Readable` is sent as it comes; everything else as JSON. */
export type Answer = {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
  /** Takes the connection as a WebSocket, in place of a body. Only of a route that `upgrades`. */
  upgrade?: (channel: Channel) => Promise<void>;
};
export type { Channel } from '../platform/websocket.ts';

/** The HTTP statuses in which the contracts agree. One that differs says so where it words its errors. */
export const STATUS = {
  invalid: 400,
  unauthenticated: 401,
  unaffordable: 402,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  too_large: 413,
  unsupported_media: 415,
  rate_limited: 429,
  internal: 500,
  unconfigured: 503,
  at_capacity: 503,
} as const satisfies Record<Code, number>;

/** So many requests in so much time. */
export type AddressLimit = { name: string; max: number; windowMs: number };

/** A secret that a program shows in a header. While the operator has set none, nobody is let in. */
export type ProgramSecret = { header: string; value: string | undefined; refusal: string };

/** A cookie that lets the operator's browser in, on the routes alone that have it. */
export type BrowserSession = {
  cookie: string;
  stands(op: Op, value: string): Promise<boolean>;
  /** What a browser without one is shown in the place of the refusal. */
  signIn(op: Op): Answer;
};

type OpOf<A extends Access> = A extends 'account' ? AccountOp : Op;
type Inputs = { params: unknown; query: unknown; body: unknown };

export type RouteSpec<
  A extends Access,
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  S extends boolean,
  O extends Op = OpOf<A>,
> = {
  method: Method;
  /** Path with `:name` parameters. */
  path: string;
  /** Its `operationId`, where what follows from its path is another route's. */
  operationId?: string;
  /** The route's own path, where this is a second one. */
  aliasOf?: string;
  tag: string;
  summary: string;
  description?: string;
  access: A;
  /** A public route that takes a credential where one is given, and then acts for its account. */
  recognises?: true;
  /** A public route that only lets in who shows this. */
  secret?: ProgramSecret;
  /** An operator's route that people look at. */
  session?: BrowserSession;
  /** Any one of these lets a scoped key in. Only for `account` routes. */
  scopes?: readonly Scope[];
  params?: P;
  query?: Q;
  body?: B;
  /** Takes the request's body as it comes, of any type and length: `input.body` is a `Readable`. */
  stream?: S;
  /** A WebSocket: its answer takes the connection. */
  upgrades?: true;
  /** The success replies by status. Error replies come from the API's own error table. */
  replies: Record<number, { description: string; schema: z.ZodType; contentType?: string }>;
  /** What can go wrong beside what every route of its kind shares; told in the OpenAPI document. */
  fails?: readonly Code[];
  /** Creates or spends: an `Idempotency-Key` makes a repetition answer the first reply. */
  idempotent?: true;
  /** A field of the body that may carry the `Idempotency-Key` as well. */
  idempotencyField?: string;
  /** Requests from one network address. */
  addressLimit?: AddressLimit;
  /** Bytes of request body at the most; the server's default where absent. */
  bodyLimit?: number;
  /** What its callers have to be beside, before anything of their input is looked at. */
  enter?(op: OpOf<A>): Promise<O>;
  handle(
    op: O,
    input: { params: z.output<P>; query: z.output<Q>; body: S extends true ? Readable : z.output<B> },
  ): Promise<Answer>;
};

/** A route whose input types are forgotten: what the server and the OpenAPI document work with. */
export type Route = Omit<RouteSpec<Access, z.ZodType, z.ZodType, z.ZodType, boolean>, 'enter' | 'handle'> & {
  enter?(op: Op): Promise<Op>;
  handle(op: Op, input: Inputs): Promise<Answer>;
};

/** Declares a route; the handler's input has the types of the schemas beside it. */
export function route<
  A extends Access,
  P extends z.ZodType = z.ZodType<unknown>,
  Q extends z.ZodType = z.ZodType<unknown>,
  B extends z.ZodType = z.ZodType<unknown>,
  S extends boolean = false,
  O extends Op = OpOf<A>,
>(spec: RouteSpec<A, P, Q, B, S, O>): Route {
  // The one place where input types are erased: `serve` calls `handle` only with what the schemas have parsed and the
  // actor that `access` asks for, as `enter` has answered it.
  return spec;
}

/** A request as it came, for routes that are no JSON: its body is a stream that nobody has read yet. */
export type RawRequest = {
  method: string;
  params: Readonly<Record<string, string | undefined>>;
  query: URLSearchParams;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Readable;
};

/** A body that breaks off ends the connection, so that nobody takes what has come for the whole. */
export type RawAnswer = { status: number; headers?: Record<string, string | number>; body?: string | Readable };

/** Counts a request before its work is done, of `who` or of its address; throws `rate_limited` where it is too many. */
export type CountRequest = (limit: AddressLimit, who?: string) => Promise<void>;

/**
 * A route with a protocol of its own: streams, files, uploads. It recognises its callers itself; `unauthenticated`
 * counts against the caller's address. It is in no OpenAPI document.
 */
export type RawRoute = {
  method: Method;
  path: string;
  handle(op: Op, request: RawRequest, count: CountRequest): Promise<RawAnswer>;
  presentError(error: AppError): Answer;
};

export type Credentials = {
  /** Authorization header as it came. */
  authorization: string | undefined;
  /** X-API-KEY header. */
  apiKey: string | undefined;
};

/** A request as a contract's frame sees it, before its route. `body` is what its JSON says. */
export type FramedRequest = {
  method: string;
  path: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: unknown;
  /** Since it came. */
  tookMs: number;
};

/** What stands around all routes of a contract. */
export type Frame = {
  /** Headers of every reply. */
  headers(request: FramedRequest): Record<string, string>;
  /** Routes of others that this contract's clients know as its own: their replies have the headers too. */
  shared: readonly string[];
  /** An answer in the place of the route's. */
  refuse(request: FramedRequest): Answer | undefined;
};

/** One public contract: its routes, and how it recognises callers and words errors. */
export type Api = {
  name: string;
  title: string;
  routes: Route[];
  /** Routes beside the table, with a protocol of their own. */
  raw?: RawRoute[];
  frame?: Frame;
  /** Requests of one account in this contract, where it allows more than others. */
  accountLimit?: AddressLimit;
  /** Whether an unknown path is answered in this contract's shape. */
  owns(path: string): boolean;
  presentError(error: AppError): Answer;
  /** Schema of the error body, for the OpenAPI document. */
  errorSchema: z.ZodType;
};

/** Who calls. Throws `unauthenticated` where a credential is wrong, answers anonymous where there is none. */
export type Authenticate = (credentials: Credentials, op: Op) => Promise<Actor>;

/** The value of a cookie that a request brings. */
export function cookieIn(headers: RawRequest['headers'], name: string): string | undefined {
  const pairs = headers['cookie']?.toString().split(';') ?? [];
  return pairs
    .map((pair) => pair.trim())
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

export const ok = (body: unknown): Answer => ({ status: 200, body });
export const created = (body: unknown): Answer => ({ status: 201, body });
export const accepted = (body: unknown): Answer => ({ status: 202, body });
