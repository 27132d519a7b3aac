/** Report: functions that a program gives, such as a log, made so that their failure is reported and ends nothing. */

/**
 * A function whose failure, immediate or late, reaches neither the request nor the process.
 *
 * @param name What failed, as in `The log of sessions`.
 * @param fn The function that the program gave.
 */
export function reported<Args extends unknown[]>(
  name: string,
  fn: (...args: Args) => unknown,
): (...args: Args) => void {
  const report = (error: unknown) => console.error(`${name} failed:`, error);
  return (...args) => {
    try {
      const result = fn(...args);
      if (result instanceof Promise) result.catch(report);
    } catch (error) {
      report(error);
    }
  };
}
