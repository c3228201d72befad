import { SECOND } from '../../../kernel/time.ts';
import type { Machine } from '../machine.ts';
import type { EgressRules } from '../rules.ts';
import { runToEnd } from '../run-to-end.ts';
import type { MachinesWorld } from '../world.ts';

const TIMEOUT_MS = 20 * SECOND;
/**
 * Programs that read the system's certificates find ours there, also after the system has put them together again.
 * Those that bring their own are told of the system's by login shells.
 */
const TRUST = `
set -e
file=/usr/local/share/ca-certificates/freehold-egress.crt
mkdir -p /usr/local/share/ca-certificates /etc/ssl/certs /etc/profile.d
cat > $file
chmod 644 $file
line=$(sed -n 2p $file)
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/certs/ca-bundle.crt; do
  if [ $bundle = /etc/ssl/certs/ca-certificates.crt ] || [ -f $bundle ]; then
    grep -qF "$line" $bundle 2>/dev/null || cat $file >> $bundle
  fi
done
cat > /etc/profile.d/freehold-egress.sh <<PROFILE
export NODE_EXTRA_CA_CERTS=$file
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
export REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
PROFILE
`;

/** Has a running machine trust those whom we vouch for, where requests of it are to be changed on the way. */
export async function trustGateway(
  { driver, authority, log }: MachinesWorld,
  machine: Pick<Machine, 'id' | 'image'>,
  { transforms = [] }: EgressRules,
  signal: AbortSignal,
): Promise<void> {
  if (transforms.length === 0 || !authority) return;
  const outcome = await runToEnd(
    driver,
    machine,
    { command: ['/bin/sh', '-c', TRUST], stdin: authority.certificate, user: 'root', cwd: '/', timeoutMs: TIMEOUT_MS },
    signal,
  );
  // An image without a shell has its plain requests changed all the same; TLS fails there, closed.
  if (outcome.kind !== 'exited' || outcome.exitCode !== 0)
    log.warn({ machineId: machine.id, reason: outcome.stderr.toString() }, 'a machine could not be made to trust us');
}
