import { describe, expect, test } from 'vitest';
import { rulesetOf } from './firewall.ts';
import { gateOf } from './gate-rules.ts';
import { groupOf, hostSide, linkAt, machineSide, resolversFrom } from './network.ts';

describe("a machine's link", () => {
  test('has its addresses from its name', () => {
    expect(linkAt(0)).toEqual({ name: 'fh0000', hostAddress: '198.18.0.0', machineAddress: '198.18.0.1' });
    expect(linkAt(65_535)).toEqual({ name: 'fhffff', hostAddress: '198.19.255.254', machineAddress: '198.19.255.255' });
  });

  test('is set up on both sides', () => {
    const link = linkAt(0x0a01);
    expect(hostSide(link, { group: 5, pid: 42, mtu: 1_400, alias: 'mch_1' }).split('\n')).toEqual([
      'link add name fh0a01 mtu 1400 group 5 type veth peer name eth0 mtu 1400 netns 42',
      'link set dev fh0a01 alias mch_1 addrgenmode none',
      'address add 198.18.20.2/31 dev fh0a01',
      'link set dev fh0a01 up',
      '',
    ]);
    expect(machineSide(link).split('\n')).toEqual([
      'link set dev lo up',
      'address add 198.18.20.3/31 dev eth0',
      'link set dev eth0 up',
      'route add default via 198.18.20.2',
      '',
    ]);
  });

  test("belongs to its instance's group, which is never the default one", () => {
    expect(groupOf('a')).not.toBe(groupOf('b'));
    for (const name of ['a', 'b', 'c', 'd']) {
      expect(groupOf(name)).toBeGreaterThan(0);
      expect(groupOf(name)).toBeLessThan(2 ** 31);
    }
  });

  test("asks the host's name servers only where a machine can reach them", () => {
    expect(resolversFrom('nameserver 10.0.0.2\nnameserver 127.0.0.53\n')).toEqual(['1.1.1.1', '9.9.9.9']);
    expect(resolversFrom('# nameserver 8.8.8.8\nnameserver fd00::1\nnameserver 169.254.169.253')).toEqual([
      '1.1.1.1',
      '9.9.9.9',
    ]);
    expect(resolversFrom('search x\nnameserver 8.8.8.8\nnameserver 10.0.0.2\nnameserver 8.8.4.4\n')).toEqual([
      '8.8.8.8',
      '8.8.4.4',
    ]);
    expect(resolversFrom('')).toEqual(['1.1.1.1', '9.9.9.9']);
  });
});

test('the rules of two instances differ in the table, the group and the gate only', () => {
  const [one, two] = [rulesetOf('one'), rulesetOf('two')];
  expect(one).not.toBe(two);
  const without = (rules: string, instance: string) => {
    const { host, port } = gateOf(instance);
    return rules
      .replaceAll(`freehold_${instance}`, 'T')
      .replaceAll(String(groupOf(instance)), 'G')
      .replaceAll(`${host}:${port}`, 'L');
  };
  expect(without(one, 'one')).toBe(without(two, 'two'));
});
