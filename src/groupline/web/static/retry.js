// On the page that says that the database is away: looks again and again, and shows the page once it is there.
// It reloads only then, so that nobody who reads it, or hears it read, is interrupted.
const seconds = Number(document.querySelector("script[data-seconds]").dataset.seconds);

async function look() {
    try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (answer.status !== 503) return location.reload();
    } catch { /* the server is away too: later */ }
    setTimeout(look, seconds * 1000);
}

setTimeout(look, seconds * 1000);
