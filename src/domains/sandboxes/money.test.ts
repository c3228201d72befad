import { describe, expect, test } from 'vitest';
import { sizeOf } from './money.ts';

describe('the price list', () => {
  test.each([
    [1, 512, '1vcpu_512mb'],
    [0.5, 128, '1vcpu_512mb'],
    [1, 513, '2vcpu_2gb'],
    [2, 512, '2vcpu_2gb'],
    [2, 2_048, '2vcpu_2gb'],
    [1, 4_096, '4vcpu_8gb'],
    [3, 1_024, '4vcpu_8gb'],
    [4, 8_192, '4vcpu_8gb'],
  ])('%d vCPU with %d MB cost what %s costs', (vcpus, memoryMb, name) =>
    expect(sizeOf({ vcpus, memoryMb })?.name).toBe(name),
  );
  test('has nothing larger than the largest', () => {
    expect(sizeOf({ vcpus: 5, memoryMb: 512 })).toBeUndefined();
    expect(sizeOf({ vcpus: 1, memoryMb: 8_193 })).toBeUndefined();
  });
});
