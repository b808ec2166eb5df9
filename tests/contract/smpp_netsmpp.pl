#!/usr/bin/perl
# smpp_netsmpp.pl - a message centre by Net::SMPP, a second one that is not ours: prints its port, then a line of JSON for each submit_sm,
# and answers each with an id and, if a receipt was asked for, with a receipt. A text that begins with "echo " comes back as a customer's.
use strict;
use warnings;
use IO::Select;
use JSON::PP;
use Net::SMPP;

$| = 1;
my $json = JSON::PP->new->canonical;
my $server = Net::SMPP->new_listen('127.0.0.1', port => 0, smpp_version => 0x34, interface_version => 0x34) or die "listen: $!";
print $json->encode({ port => $server->sockport }), "\n";
my ($next, $select) = (1000, IO::Select->new($server));

sub submitted {
  my ($session, $pdu) = @_;
  my $id = $next++;
  print $json->encode({ text => unpack('H*', $pdu->{short_message}), from => $pdu->{source_addr}, to => $pdu->{destination_addr},
    esm => $pdu->{esm_class}, coding => $pdu->{data_coding}, validity => $pdu->{validity_period},
    registered => $pdu->{registered_delivery} }), "\n";
  $session->submit_sm_resp(message_id => $id, seq => $pdu->{seq});
  my %back = (source_addr_ton => 1, source_addr_npi => 1, source_addr => $pdu->{destination_addr}, dest_addr_ton => 1, dest_addr_npi => 1,
    destination_addr => $pdu->{source_addr}, async => 1);
  $session->deliver_sm(%back, esm_class => 4, short_message => "id:$id sub:001 dlvrd:001 submit date:2611271842 done date:2611271843"
      . " stat:DELIVRD err:000 text:x") if $pdu->{registered_delivery};
  $session->deliver_sm(%back, short_message => $1) if $pdu->{short_message} =~ /^echo (.*)/s;
}

my %answers = (
  0x09 => sub { $_[0]->bind_transceiver_resp(system_id => 'netsmpp', seq => $_[1]{seq}) },
  0x01 => sub { $_[0]->bind_receiver_resp(system_id => 'netsmpp', seq => $_[1]{seq}) },
  0x02 => sub { $_[0]->bind_transmitter_resp(system_id => 'netsmpp', seq => $_[1]{seq}) },
  0x04 => \&submitted,
  0x15 => sub { $_[0]->enquire_link_resp(seq => $_[1]{seq}) },
  0x06 => sub { $_[0]->unbind_resp(seq => $_[1]{seq}) },
);
while (1) {
  for my $ready ($select->can_read) {
    if ($ready == $server) {
      $select->add(scalar $server->accept);
      next;
    }
    my $pdu = $ready->read_pdu;
    if (!$pdu) {
      $select->remove($ready);
      close $ready;
      next;
    }
    print $json->encode({ reply => $pdu->{status}, seq => $pdu->{seq} }), "\n" if $pdu->{cmd} == 0x80000005;
    my $answer = $answers{ $pdu->{cmd} } or next;
    $answer->($ready, $pdu);
  }
}
