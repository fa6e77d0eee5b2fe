/** Rules 1 and 2 of the architecture: a pure core, and modules that import only from earlier ones. */
const ORDER = [
  ['values', 'infra'],
  ['subscribers'],
  ['segments', 'imports'],
  ['tracking'],
  ['delivery'],
  ['bounces'],
  ['experiments'],
  ['sequences'],
  ['broadcasts'],
  ['affiliates'],
  ['signup'],
  ['offers'],
  ['orders'],
  ['privacy'],
  ['analytics'],
  ['funnels'],
  ['admin'],
  ['commands'],
];

const moduleOrder = ORDER.flatMap((names, place) => {
  const later = ORDER.slice(place + 1)
    .flat()
    .join('|');
  if (later === '') return [];
  return names.map((name) => ({
    name: `module-order-${name}`,
    severity: 'error',
    comment: `${name} may not know what comes later in the funnel`,
    from: { path: `^src/${name}/` },
    to: { path: `^src/(${later})/` },
  }));
});

/** The same within `delivery`: from what a mail is to what sends it. `delivery.module` and `.jobs` join those up to sending. */
const DELIVERY_ORDER = [
  ...['message', 'replies', 'guards', 'mails', 'signing', 'generation', 'ledger', 'relays', 'waiting'],
  ...['pacing', 'planning', 'sending'],
];
const ABOVE_DELIVERY = ['domains', 'preflight', 'api-mails'];

const deliveryOrder = [...DELIVERY_ORDER, ...ABOVE_DELIVERY].flatMap((name, place, all) => {
  const later = all.slice(place + 1).map((folder) => `${folder}/`);
  const joined = place < DELIVERY_ORDER.length ? ['[^/]+$'] : [];
  if (later.length === 0) return [];
  return {
    name: `delivery-order-${name}`,
    severity: 'error',
    comment: `${name} may not know what stands on it`,
    from: { path: `^src/delivery/${name}/` },
    to: { path: `^src/delivery/(${[...later, ...joined].join('|')})` },
  };
});

module.exports = {
  forbidden: [
    ...moduleOrder,
    ...deliveryOrder,
    {
      name: 'values-alone',
      severity: 'error',
      from: { path: '^src/values/' },
      to: { path: '^src/(?!values/)' },
    },
    {
      name: 'pure-is-pure',
      comment: 'a plain file name promises: no decorators, no I/O',
      severity: 'error',
      from: { path: '^src/(?!infra/).+/[a-z0-9-]+\\.ts$' },
      to: {
        path: 'node_modules/(@nestjs|typeorm|agenda|@agendajs|nodemailer|mjml|pg)/|\\.(service|queries|entity|controller|jobs|transport|probe|files|templates|module)\\.ts$|^src/infra|^config',
      },
    },
    {
      name: 'one-agenda',
      severity: 'error',
      from: { pathNot: '^src/infra/jobs/' },
      to: { path: 'node_modules/(agenda|@agendajs)/' },
    },
    {
      name: 'one-mailer',
      severity: 'error',
      from: { pathNot: '\\.transport\\.ts$' },
      to: { path: 'node_modules/nodemailer/' },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'not-to-test', severity: 'error', from: { path: '^src' }, to: { path: '^test' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
