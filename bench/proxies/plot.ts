// Panels of curves as one SVG: both axes logarithmic, a legend below, no scripts, no fonts but the viewer's own.

export interface Curve {
  readonly name: string;
  readonly colour: string;
  readonly dashed: boolean;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly yLabel: string;
  /** How a value on the y axis is written. */
  readonly unit: (y: number) => string;
  readonly curves: readonly Curve[];
}

const PANEL = { width: 560, height: 380 } as const;
const PLOT = { left: 78, right: 34, top: 40, bottom: 50 } as const;
const LEGEND_ROW = 22;
const COLUMNS = 2;

export function plotSvg(title: string, notes: readonly string[], xLabel: string, panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const legend = [...new Map(panels.flatMap((p) => p.curves).map((c) => [c.name, c])).values()];
  const head = 44 + notes.length * 18;
  const legendTop = head + rows * PANEL.height;
  const width = COLUMNS * PANEL.width;
  const height = legendTop + Math.ceil(legend.length / 3) * LEGEND_ROW + 24;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(width / 2, 28, title, 'middle', 'font-size="19" font-weight="bold"'),
    ...notes.map((note, i) => text(width / 2, 48 + i * 18, note, 'middle', 'fill="#555555"')),
  ];
  panels.forEach((panel, i) => {
    const x = (i % COLUMNS) * PANEL.width;
    const y = head + Math.floor(i / COLUMNS) * PANEL.height;
    parts.push(`<g transform="translate(${x} ${y})">`, ...panelParts(panel, xLabel), '</g>');
  });
  legend.forEach((curve, i) => {
    const x = 40 + (i % 3) * (width / 3 - 20);
    const y = legendTop + 16 + Math.floor(i / 3) * LEGEND_ROW;
    parts.push(`<path d="M${x} ${y}h34" ${stroke(curve)}/>`, dot(x + 17, y, curve), text(x + 44, y + 4, curve.name));
  });
  return `${parts.join('\n')}\n</svg>\n`;
}

function panelParts({ title, yLabel, unit, curves }: Panel, xLabel: string): string[] {
  const xs = curves.flatMap((c) => c.points.map(([x]) => x));
  const ys = curves.flatMap((c) => c.points.map(([, y]) => y));
  const [xFirst, xLast] = decades(xs);
  const [yFirst, yLast] = decades(ys);
  const inner = { width: PANEL.width - PLOT.left - PLOT.right, height: PANEL.height - PLOT.top - PLOT.bottom };
  const px = (x: number): number => PLOT.left + ((Math.log10(x) - xFirst) / (xLast - xFirst)) * inner.width;
  const py = (y: number): number => PLOT.top + (1 - (Math.log10(y) - yFirst) / (yLast - yFirst)) * inner.height;
  const bottom = PLOT.top + inner.height;
  const parts = [text(PLOT.left + inner.width / 2, 24, title, 'middle', 'font-size="15" font-weight="bold"')];
  for (let d = xFirst; d <= xLast; d++) {
    const x = px(10 ** d).toFixed(1);
    parts.push(`<path d="M${x} ${PLOT.top}V${bottom}" stroke="#dddddd"/>`);
    parts.push(text(Number(x), bottom + 18, (10 ** d).toLocaleString('en-US'), 'middle'));
  }
  for (let d = yFirst; d <= yLast; d++) {
    const y = py(10 ** d).toFixed(1);
    parts.push(`<path d="M${PLOT.left} ${y}H${PLOT.left + inner.width}" stroke="#dddddd"/>`);
    parts.push(text(PLOT.left - 8, Number(y) + 4, unit(10 ** d), 'end'));
    if (d === yLast) continue;
    for (let k = 2; k < 10; k++) {
      const minor = py(k * 10 ** d).toFixed(1);
      parts.push(`<path d="M${PLOT.left} ${minor}H${PLOT.left + inner.width}" stroke="#f2f2f2"/>`);
    }
  }
  parts.push(
    `<rect x="${PLOT.left}" y="${PLOT.top}" width="${inner.width}" height="${inner.height}" fill="none" stroke="#888888"/>`,
  );
  parts.push(text(PLOT.left + inner.width / 2, bottom + 38, xLabel, 'middle'));
  parts.push(
    `<text transform="translate(16 ${PLOT.top + inner.height / 2}) rotate(-90)" text-anchor="middle">${escaped(yLabel)}</text>`,
  );
  for (const curve of curves) {
    const points = curve.points.map(([x, y]) => [px(x), py(y)] as const);
    parts.push(`<path d="M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L')}" ${stroke(curve)}/>`);
    for (const [x, y] of points) parts.push(dot(x, y, curve));
  }
  return parts;
}

/** The powers of ten around the values, one apart at least. */
function decades(values: readonly number[]): readonly [first: number, last: number] {
  const first = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
  return [first, Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9))];
}

function stroke({ colour, dashed }: Curve): string {
  return `fill="none" stroke="${colour}" stroke-width="2"${dashed ? ' stroke-dasharray="7 4"' : ''}`;
}

function dot(x: number, y: number, { colour, dashed }: Curve): string {
  return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3.5" fill="${dashed ? '#ffffff' : colour}" stroke="${colour}" stroke-width="1.5"/>`;
}

function text(x: number, y: number, content: string, anchor = 'start', more = ''): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}"${more === '' ? '' : ` ${more}`}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
