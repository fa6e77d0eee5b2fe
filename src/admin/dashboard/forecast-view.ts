import type { Amounts, Band, Forecast } from '../../funnels/forecast/outlook.js';
import type { Money } from '../../values/money.js';

/** In the units of the chart's view box. Wide and low: it is as wide as the page. */
const HEIGHT = 120;
/** Room above the highest day. */
const HEAD = 6;
const STEP = 20;
const BAR = 12;

interface Bar {
  date: string;
  expected: number;
  low: number;
  high: number;
  x: number;
  middle: number;
  y: number;
  height: number;
  /** The part of newcomers, on top of that of the people who are in sequences now. */
  yNew: number;
  heightNew: number;
  expectedNew: number;
  /** The band, as a line from top to bottom. */
  top: number;
  bottom: number;
}

interface ForecastView {
  people: number;
  mailsInAll: Band;
  basis: Forecast['basis'];
  leavesOut: Forecast['leavesOut'];
  /** Mails that are written already. */
  waiting: number;
  income: { expected: Money; low: Money; high: Money }[];
  newcomers: { people: Band; mailsInAll: Band; income: { expected: Money; low: Money; high: Money }[] };
  signUps: Forecast['signUps'];
  bars: Bar[];
  chart: { width: number; height: number; barWidth: number };
}

/**
 * What the page prints and draws: a bar for each day, as high as what is expected, with the part of newcomers on top, and a
 * line for the band of both.
 */
export function forecastView({
  people,
  dates,
  basis,
  leavesOut,
  newcomers,
  inAll,
  signUps,
  waiting,
}: Forecast): ForecastView {
  const { mails } = inAll;
  const most = Math.max(1, ...mails.map(({ high }) => high));
  const up = (count: number): number => Math.round((count / most) * (HEIGHT - HEAD) * 10) / 10;
  return {
    people,
    basis,
    leavesOut,
    waiting: waiting.reduce((sum, count) => sum + count, 0),
    ...{ mailsInAll: whole(inAll.mailsInAll), income: moneyOf(inAll), signUps },
    newcomers: {
      people: whole(newcomers.people),
      mailsInAll: whole(newcomers.mailsInAll),
      income: moneyOf(newcomers),
    },
    bars: mails.map(({ expected, low, high }, day) => ({
      ...{ date: dates[day] ?? '', expected: Math.round(expected), low, high },
      expectedNew: Math.round(newcomers.mails[day]?.expected ?? 0),
      ...{ yNew: HEIGHT - up(expected), heightNew: up(newcomers.mails[day]?.expected ?? 0) },
      ...{ x: day * STEP, middle: day * STEP + BAR / 2 },
      ...{ y: HEIGHT - up(expected), height: up(expected), top: HEIGHT - up(high), bottom: HEIGHT - up(low) },
    })),
    chart: { width: mails.length * STEP, height: HEIGHT, barWidth: BAR },
  };
}

function whole(one: Band): Band {
  return { ...one, expected: Math.round(one.expected) };
}

function moneyOf({ income }: Amounts): ForecastView['income'] {
  return income.map(({ currency, amount }) => {
    const inMoney = (amountMinor: number): Money => ({ amountMinor: Math.round(amountMinor), currency });
    return { expected: inMoney(amount.expected), low: inMoney(amount.low), high: inMoney(amount.high) };
  });
}
