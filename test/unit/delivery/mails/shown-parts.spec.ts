import { describe, expect, it } from 'vitest';
import { mailFindings } from '../../../../src/delivery/preflight/mail-checks.js';

const URL = 'https://mail.example.com/u/token';
const ADDRESS = '12 Mill Lane, Springfield';
const FOOT = `<p>Ada Winters, ${ADDRESS}</p>`;
const LINK = `<a href="${URL}">Unsubscribe</a>`;

/** Findings of a marketing mail with this in its body. */
function found(html: string, change: { senderName?: string; postalAddress?: string } = {}): string[] {
  const text = `A letter with enough words in it to be read. ${URL} ${change.postalAddress ?? ADDRESS}`;
  const mail = { html, text, unsubscribeUrl: URL, senderName: 'Ada Winters', postalAddress: ADDRESS };
  return mailFindings({ ...mail, ...change, marketing: true }).map(
    ({ level, check, message }) => `${level} ${check}: ${message}`,
  );
}

describe('a link to unsubscribe that readers cannot see', () => {
  it.each([
    ['display: none', `<div style="display:none">${LINK}</div>`],
    ['display: none', `<div style="DISPLAY : None !important">${LINK}</div>`],
    ['display: none', `<style>.away{display:none}</style><p class="quiet away">${LINK}</p>`],
    [
      'display: none',
      `<style>#foot .x > p{display:none}</style><div id="foot"><div class="x"><p>${LINK}</p></div></div>`,
    ],
    [
      'display: none',
      `<style>@media screen{p.x{display:none!important}}</style><p class="x" style="display:block">${LINK}</p>`,
    ],
    [
      'its colour is that of',
      `<style>td{background:#fff} .foot a{color:#fff}</style><td class="foot">${LINK}</td>`,
    ],
    ['visibility: hidden', `<span style="visibility:hidden">${LINK}</span>`],
    ['opacity: 0', `<p style="opacity:0">${LINK}</p>`],
    ['its letters are 0 pixels high', `<p style="font-size:0">${LINK}</p>`],
    ['its letters are 1 pixels high', `<a style="font-size:1px" href="${URL}">Unsubscribe</a>`],
    ['max-height: 0', `<div style="max-height:0;overflow:hidden">${LINK}</div>`],
    ['width: 1px', `<div style="overflow:hidden;width:1px">${LINK}</div>`],
    ['text-indent: -9999px', `<p style="text-indent:-9999px">${LINK}</p>`],
    ['<div> has the attribute hidden', `<div hidden>${LINK}</div>`],
    ['its colour is that of', `<a style="color:#fff" href="${URL}">Unsubscribe</a>`],
    ['its colour is that of', `<td bgcolor="#222222"><p style="color:rgb(34, 34, 36)">${LINK}</p></td>`],
    ['its colour is that of', `<p style="background:#fefefe;color:white">${LINK}</p>`],
    ['nothing to see or press', `<a href="${URL}"></a>`],
    ['it stands in a comment, or is no link', `<a href="${URL}2">Unsubscribe</a>`],
    ['nothing to see or press', `<a href="${URL}"><img src="x.png" alt="" width="1" height="1"></a>`],
    ['nothing to see or press', `<a href="${URL}"><span style="display:none">Unsubscribe</span></a>`],
    ['it stands in a comment', `<!-- ${LINK} -->`],
    ['it stands in a comment', `<!--[if mso]>${LINK}<![endif]-->`],
    ['it stands in a comment', `<p>${URL}</p>`],
  ])('%s', (why, html) => {
    const [first, ...others] = found(html + FOOT);
    expect(first).toMatch(/^fail unsubscribe: readers cannot see the link to unsubscribe: /);
    expect(first).toContain(why);
    expect(others).toEqual([]);
  });

  it.each([
    ['plain', LINK],
    ['with a query', `<a href="${URL}?from=foot">Unsubscribe</a>`],
    ['with a fragment', `<a href="${URL}#top">Unsubscribe</a>`],
    ['on a background that is not there', `<td style="background-color:rgba(0,0,0,0)">${LINK}</td>`],
    ['on another', `<td style="background:rgb(0 0 0 / 5%)">${LINK}</td>`],
    ['on one that is called so', `<td style="background:transparent">${LINK}</td>`],
    ['small print', `<p style="font-size:11px;color:#777">${LINK}</p>`],
    [
      'white on a dark foot',
      `<td style="background-color:#111"><a style="color:#fff" href="${URL}">Leave</a></td>`,
    ],
    [
      'with letters of its own in a cell without',
      `<td style="font-size:0px"><div style="font-size:13px">${LINK}</div></td>`,
    ],
    ['for all but Outlook', `<!--[if !mso]><!-->${LINK}<!--<![endif]-->`],
    ['behind a picture', `<a href="${URL}"><img src="x.png" alt="Unsubscribe" width="90"></a>`],
    ['hidden on paper alone', `<style>@media print{.a{display:none}}</style><p class="a">${LINK}</p>`],
    ['hidden once and shown once', `<p style="display:none">${LINK}</p><p>${LINK}</p>`],
    [
      'white where the sheet makes all cells dark',
      `<style>td{background:#111}</style><td style="color:#fff">${LINK}</td>`,
    ],
    [
      'white on a dark body',
      `<style>/* all */ body, .x { background-color: #222 !important } a { color: #fff }</style><body style="background:#fff">${LINK}`,
    ],
    ['dark by a rule for links', `<style>a:link{color:#333}</style><td style="color:#fff">${LINK}</td>`],
    [
      'dark by a rule for links of the foot',
      `<style>#foot td a{color:#333} td.x > a{color:#fff}</style><table id="foot"><td class="x" style="color:#fff">${LINK}</td></table>`,
    ],
    [
      'on a ground by a selector that is not read',
      `<style>table[class] td{background:#111}</style><td style="color:#fff">${LINK}</td>`,
    ],
    ['white on a colour by name', `<td bgcolor="teal" style="color:white">${LINK}</td>`],
    ['white before a picture', `<td background="https://x.test/a.png" style="color:#fff">${LINK}</td>`],
    ['white before another', `<td style="background:#fff url(a.png);color:#fff">${LINK}</td>`],
    [
      'of usual size in a sheet',
      `<style>p{font-size:12px}</style><td style="font-size:0"><p>${LINK}</p></td>`,
    ],
    [
      'behind an import',
      `<style>@import url(x.css); .b{display:none} .a{display:block}</style><p class="a">${LINK}</p>`,
    ],
    [
      'after a hidden preview',
      `<div style="display:none;max-height:0;overflow:hidden">In this mail</div>${LINK}`,
    ],
  ])('is none that is %s', (_, html) => expect(found(html + FOOT)).toEqual([]));
});

describe('who writes, and where they are', () => {
  it.each([
    [
      'is hidden',
      `<p>Ada Winters</p><p style="display:none">${ADDRESS}</p>`,
      'fail sender: readers cannot see',
    ],
    ['stands in a comment', `<p>Ada Winters</p><!-- ${ADDRESS} -->`, 'fail sender: readers cannot see'],
    ['has no name', `<p>${ADDRESS}</p>`, 'warn sender: the mail does not say who'],
  ])('is told of when it %s', (_, html, expected) => {
    const findings = found(LINK + html);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain(expected);
  });

  it.each(['Your postal address', 'TODO', 'n/a', 'Street'])('is no address: %s', (postalAddress) => {
    expect(found(`${LINK}<p>Ada Winters, ${postalAddress}</p>`, { postalAddress })).toEqual([
      `warn sender: "${postalAddress}" is no postal address that mail would reach`,
    ]);
  });

  it('is found over lines and elements', () => {
    expect(found(`${LINK}<p>Ada\n  Winters</p><p>12 Mill Lane, <b>Springfield</b></p>`)).toEqual([]);
  });
});

it('goes through a hostile mail of a megabyte in no time', () => {
  const from = process.cpuUsage();
  found(`${'<div style="'.repeat(20_000)}${'<!--'.repeat(50_000)}${'<a href='.repeat(50_000)}`);
  found('<div>'.repeat(200_000));
  found(`<style>${'.a b{color:red}'.repeat(999)}</style>${'<b>'.repeat(100_000)}`);
  expect(process.cpuUsage(from).user / 1_000).toBeLessThan(5_000);
});

it.each(['<style>', '@import ', '@media x{', 'a,', '.x ', ';', '&#', '/*'])(
  'reads a style sheet of nothing but %s in no time',
  (part) => {
    const from = process.cpuUsage();
    found(`<style>${part.repeat(Math.floor(390_000 / part.length))}</style><p>x</p>`);
    expect(process.cpuUsage(from).user / 1_000).toBeLessThan(5_000);
  },
);
