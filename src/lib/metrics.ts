// Counters, gauges and histograms with labels, and their text in Prometheus' exposition format 0.0.4. A hot place asks once for
// the series of its label values (`with`) and keeps it. Names and labels are those of
// the program that is emulated.
// Leaves out: summaries, time stamps, Go's runtime metrics.

/** Buckets of the durations of requests: 0.25 ms, doubling, to 8.192 s (CoreDNS plugin.TimeBuckets). */
export const DURATIONS: readonly number[] = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);

export interface Series {
  value: number;
}

export interface HistogramSeries {
  readonly counts: Float64Array;
  sum: number;
}

interface Family {
  text(): string;
}

export class Registry {
  readonly #families = new Map<string, Family>();

  /** The same name gives the same family, so that a reloaded plugin goes on counting. */
  counter(name: string, help: string, labels: readonly string[] = []): Vector {
    return this.#get(name, () => new Vector(name, 'counter', help, labels));
  }

  gauge(name: string, help: string, labels: readonly string[] = []): Vector {
    return this.#get(name, () => new Vector(name, 'gauge', help, labels));
  }

  histogram(name: string, help: string, buckets: readonly number[], labels: readonly string[] = []): Histogram {
    return this.#get(name, () => new Histogram(name, help, buckets, labels));
  }

  #get<F extends Family>(name: string, make: () => F): F {
    let family = this.#families.get(name);
    if (family === undefined) this.#families.set(name, (family = make()));
    return family as F;
  }

  text(): string {
    const names = [...this.#families.keys()].sort();
    return names.map((name) => this.#families.get(name)!.text()).join('');
  }
}

export class Vector implements Family {
  readonly #name: string;
  readonly #type: 'counter' | 'gauge';
  readonly #help: string;
  readonly #labels: readonly string[];
  readonly #series = new Map<string, Series>();

  constructor(name: string, type: 'counter' | 'gauge', help: string, labels: readonly string[]) {
    this.#name = name;
    this.#type = type;
    this.#help = help;
    this.#labels = labels;
  }

  with(...values: readonly string[]): Series {
    const key = labelText(this.#labels, values);
    let series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, (series = { value: 0 }));
    return series;
  }

  /** Forgets a series. */
  without(...values: readonly string[]): void {
    this.#series.delete(labelText(this.#labels, values));
  }

  text(): string {
    if (this.#series.size === 0) return '';
    let text = head(this.#name, this.#type, this.#help);
    for (const [key, series] of this.#series) text += `${this.#name}${key === '' ? '' : `{${key}}`} ${series.value}\n`;
    return text;
  }
}

export class Histogram implements Family {
  readonly #name: string;
  readonly #help: string;
  readonly #buckets: readonly number[];
  readonly #labels: readonly string[];
  readonly #series = new Map<string, HistogramSeries>();

  constructor(name: string, help: string, buckets: readonly number[], labels: readonly string[]) {
    this.#name = name;
    this.#help = help;
    this.#buckets = buckets;
    this.#labels = labels;
  }

  with(...values: readonly string[]): HistogramSeries {
    const key = labelText(this.#labels, values);
    let series = this.#series.get(key);
    if (series === undefined)
      this.#series.set(key, (series = { counts: new Float64Array(this.#buckets.length + 1), sum: 0 }));
    return series;
  }

  observe(series: HistogramSeries, value: number): void {
    series.counts[this.bucketOf(value)]!++;
    series.sum += value;
  }

  bucketOf(value: number): number {
    let i = 0;
    while (i < this.#buckets.length && value > this.#buckets[i]!) i++;
    return i;
  }

  text(): string {
    if (this.#series.size === 0) return '';
    let text = head(this.#name, 'histogram', this.#help);
    for (const [key, series] of this.#series) {
      const prefix = key === '' ? '' : `${key},`;
      let total = 0;
      for (let i = 0; i <= this.#buckets.length; i++) {
        total += series.counts[i]!;
        text += `${this.#name}_bucket{${prefix}le="${this.#buckets[i] ?? '+Inf'}"} ${total}\n`;
      }
      const labels = key === '' ? '' : `{${key}}`;
      text += `${this.#name}_sum${labels} ${series.sum}\n${this.#name}_count${labels} ${total}\n`;
    }
    return text;
  }
}

function head(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}

function labelText(labels: readonly string[], values: readonly string[]): string {
  return labels.map((label, i) => `${label}="${quoted(values[i] ?? '')}"`).join(',');
}

function quoted(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
}
