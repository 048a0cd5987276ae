//! `cloakroom sample`

use std::io::{self, BufWriter, Write};

use crate::args::{SampleCommand, SampleOptions, ServeOptions};
use crate::error::Failure;
use crate::sample::server::{SampleApi, ServeOptions as ApiOptions, serve};
use crate::sample::{Kind, Sample};
use crate::{output, signals};

pub(crate) async fn sample(command: SampleCommand) -> Result<u8, Failure> {
    match command {
        SampleCommand::Logins(options) => write(Kind::Logins, &options),
        SampleCommand::Users(options) => write(Kind::Users, &options),
        SampleCommand::Messages(options) => write(Kind::Messages, &options),
        SampleCommand::Customers(options) => write(Kind::Customers, &options),
        SampleCommand::Serve(options) => serve_api(options).await,
    }
}

fn write(kind: Kind, options: &SampleOptions) -> Result<u8, Failure> {
    let sample = Sample { wrong_shape: options.wrong_shape, ..Sample::new(kind, options.seed) };
    match write_lines(&sample, options.count, &mut BufWriter::with_capacity(256 * 1024, io::stdout().lock())) {
        // `cloakroom sample … | head` is a fine thing to do.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::new(3, format!("standard output: {error}"))),
        Ok(()) => Ok(0),
    }
}

/// Writes records as JSON lines.
pub(crate) fn write_lines(sample: &Sample, count: u64, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    for index in 0..count {
        line.clear();
        sample.write_record(index, &mut line);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    out.flush()
}

async fn serve_api(options: ServeOptions) -> Result<u8, Failure> {
    let ServeOptions { from, kind, count, address, page_size, faults, broken_at, token } = options;
    let mut api = match &from {
        Some(path) => {
            let shown = path.display();
            let text = std::fs::read(path).map_err(|error| Failure::new(2, format!("{shown}: {error}")))?;
            SampleApi::from_json_array(&text).map_err(|error| Failure::new(2, format!("{shown}: {error}")))?
        }
        None => SampleApi::generated(Sample::new(kind, 1), count),
    };
    if let Some(at) = broken_at {
        api = api.with_item(at, &br#"{"id": "broken", "fec_alta": }"#[..]);
    }
    let api = api.with_options(ApiOptions { page_size, token, faults, ..ApiOptions::default() });
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|error| Failure::new(3, format!("{address}: {error}")))?;
    let address = listener.local_addr().map_err(|error| Failure::new(3, format!("{address}: {error}")))?;
    output::line(&format!("serving http://{address}/users"));
    let stop = signals::stop_token();
    serve(listener, api, stop.cancelled_owned())
        .await
        .map_err(|error| Failure::new(3, format!("{address}: {error}")))?;
    Ok(0)
}
