import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Frame, FramedRequest } from './contract.ts';

/** A request as a contract's frame sees it. */
export const framed = (request: FastifyRequest, reply: FastifyReply): FramedRequest => ({
  method: request.method,
  path: request.url.split('?', 1)[0] ?? '/',
  headers: request.headers,
  body: request.body,
  tookMs: reply.elapsedTime,
});

/**
 * Puts a contract's headers on every reply. At once and not by a promise: the headers of a stream are on their way before
 * that is kept.
 */
export const frameHeaders =
  (frame: Frame) =>
  (
    request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: null, payload: unknown) => void,
  ): void => {
    void reply.headers(frame.headers(framed(request, reply)));
    done(null, payload);
  };
